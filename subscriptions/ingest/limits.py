"""How much an ingester reads ahead and stores at once, and how long it waits."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """The limits of one ingester."""

    batch_bytes: int = 16 * 1024**2
    """Of one transaction: a small MongoDB accepts about twice that."""
    ahead_seconds: float = 0.5
    """Of parsing done in advance, which delays the storing of the batch before it."""
    silence_seconds: float = 3.5
    """Without a heartbeat, of which NATS sends one every second."""
    trim_seconds: float = 5.0
    """Between two looks at the stream: a full one refuses its publishers until then."""
    backoff: Sequence[float] = (0.2, 0.4, 0.8, 1.6, 3.0)
    """Seconds before each new start after errors that end by themselves, or when somebody fixes their cause."""
    long_backoff: Sequence[float] = (1.0, 3.0, 10.0, 30.0)
    """Seconds before each new start after unexpected errors."""
