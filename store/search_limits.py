"""How far one read searches the log: in positions, time, event types, and events that are counted one by one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Shares are fractions of the time that a query may take: a small page soon is worth more than a full page late."""

    window: int = 2_000
    """Positions in the first window of a scan."""
    window_share: float = 0.25
    """The limit of the read of one window."""
    index_share: float = 0.25
    """The limit of a read by an index, after which the log is scanned instead."""
    patience: float = 0.25
    """The share after which a scan reads no further window."""
    most_types: int = 4_000
    """Types that are read to find out which of them match patterns."""
    most_prefixes: int = 8
    """Prefixes of types that are read one by one; with more of them, all types are read."""
    most_names: int = 1_000
    """Types that are listed in one filter."""
    most_counted: int = 10_000
    """Events or aggregates that are counted one by one for the total of a list."""
    most_in_stats: int = 100_000
    """Events that are counted one by one for statistics."""
