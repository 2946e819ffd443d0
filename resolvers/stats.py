"""Statistics: totals, breakdowns and histograms from counts that are kept as events come in."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from eventscope.errors import BadInput, PageTooLarge
from eventscope.resolvers.shared import SharedAnswers
from eventscope.store.filters.filter import All, Among, Between, Filter
from eventscope.store.log import Log
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Cell, Scope, TypeTotal
from eventscope.store.values import moment
from eventscope.store.values.moment import DAY, HOUR

Interval = Literal["HOUR", "DAY", "WEEK"]
By = Literal["NONE", "TYPE", "AGGREGATE_TYPE"]

GROUPING: Final[Mapping[By, tuple[counts.By, ...]]] = {
    "NONE": (),
    "TYPE": ("type",),
    "AGGREGATE_TYPE": ("aggregateType",),
}
LENGTH: Final = {"HOUR": HOUR, "DAY": DAY, "WEEK": 7 * DAY}
MONDAY: Final = 4 * DAY  # 1970-01-05, the first Monday of the epoch; ISO 8601 weeks begin on Mondays
LAST: Final = moment.of(datetime.max.replace(tzinfo=UTC))
MOST_TYPES: Final = 1_000  # types counted separately in one answer


@dataclass(frozen=True, slots=True)
class TimestampRange:
    """The first and the last timestamp."""

    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class HistogramBucket:
    """The events of one interval, and of one type or aggregate type if the histogram groups by it.

    `key` is None without such grouping, and for the types that are counted together.
    """

    start: int
    end: int
    key: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the events in a scope. The functions below compute what costs more than the totals.

    If many share the counts, `once` lets them share these computations too.
    """

    log: Log
    scope: Scope
    cells: tuple[Cell, ...]
    once: SharedAnswers | None = None
    most_buckets: int = 10_000
    """How many buckets a histogram may have."""
    most_characters: int = 4 * 1024**2
    """How long all keys of a histogram may be together, since each is in many buckets."""

    @property
    def total_events(self) -> int:
        """How many events."""
        return sum(cell.n for cell in self.cells)

    @property
    def event_types(self) -> int:
        """How many event types."""
        return len({cell.type for cell in self.cells})

    @property
    def aggregate_types(self) -> int:
        """How many aggregate types."""
        return len({cell.aggregate_type for cell in self.cells if cell.aggregate_type is not None})

    @property
    def event_type_breakdown(self) -> list[TypeTotal]:
        """How many events of each type, most frequent first."""
        return _breakdown((cell.type, cell.n) for cell in self.cells)

    @property
    def aggregate_type_breakdown(self) -> list[TypeTotal]:
        """How many events of each aggregate type, most frequent first, without events that have none."""
        return _breakdown((cell.aggregate_type, cell.n) for cell in self.cells if cell.aggregate_type is not None)

    @property
    def time_range(self) -> TimestampRange | None:
        """The first and last timestamp; None without events, Blocked if one is damaged."""
        return TimestampRange(*counts.extent(self.cells)) if self.cells else None


async def stats(log: Log, scope: Scope) -> Stats:
    """The counts of the events in the scope."""
    return Stats(log, scope, tuple(await counts.cells(log, scope)))


async def shared_stats(log: Log, scope: Scope) -> Stats:
    """The same, for callers that share the result."""
    return Stats(log, scope, tuple(await counts.cells(log, scope)), SharedAnswers())


def as_filter(scope: Scope) -> Filter:
    """The events in the scope, as a filter."""
    types = () if scope.types is None else (scope.types,)
    aggregate_types = () if scope.aggregate_types is None else (Among("aggregateType", scope.aggregate_types),)
    open_ended = scope.low is None and scope.high is None
    times = () if open_ended else (Between("timestamp", scope.low, scope.high),)
    return All((*types, *aggregate_types, *times, *scope.among))


async def unique_aggregates(stats: Stats) -> int:
    """How many aggregates the events belong to."""
    if stats.once is None:
        return await counts.aggregates(stats.log, stats.scope)
    return await stats.once.of("aggregates", lambda: counts.aggregates(stats.log, stats.scope))


def type_limit(first: int | None) -> int:
    """How many types are counted separately; BadInput or PageTooLarge for an impossible number."""
    if first is not None and first < 0:
        raise BadInput(f"first is {first}, which is not a number of types: give 0 to {MOST_TYPES}", "first")
    if first is not None and first > MOST_TYPES:
        raise PageTooLarge("first", first, MOST_TYPES)
    return MOST_TYPES if first is None else first


async def histogram(stats: Stats, interval: Interval, by: By, first: int | None = None) -> list[HistogramBucket]:
    """The counts over time, oldest first, without empty intervals.

    The `first` most frequent types have buckets of their own; all others share one bucket per interval.
    """
    most = type_limit(first)
    if stats.once is None:
        return await _histogram(stats, interval, by, most)
    return await stats.once.of((interval, by, most), lambda: _histogram(stats, interval, by, most))


async def _histogram(stats: Stats, interval: Interval, by: By, most: int) -> list[HistogramBucket]:
    length = LENGTH[interval]
    offset = MONDAY if interval == "WEEK" else 0
    cells = await counts.cells(stats.log, stats.scope, by=GROUPING[by], hourly=True)
    if by == "AGGREGATE_TYPE":
        cells = [cell for cell in cells if cell.aggregate_type is not None]
    totals = _breakdown((_key(cell, by), cell.n) for cell in cells)
    own_keys = {row.type for row in totals[:most]}
    tally: Counter[tuple[int, str | None]] = Counter()
    for cell in cells:
        key = _key(cell, by)
        hour = cell.hour or 0
        tally[hour - (hour - offset) % length, key if by != "NONE" and key in own_keys else None] += cell.n
    if len(tally) > stats.most_buckets:
        raise BadInput(
            f"the histogram has {len(tally)} buckets, over {stats.most_buckets}; choose a longer interval", "interval"
        )
    if sum(len(key or "") for _, key in tally) > stats.most_characters:
        raise BadInput(
            f"the histogram would repeat over {stats.most_characters} characters of type names; pass a smaller first",
            "first",
        )
    ordered = sorted(tally.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or ""))
    return [HistogramBucket(start, min(start + length, LAST), key, n) for (start, key), n in ordered]


def _key(cell: Cell, by: By) -> str:
    return cell.type if by == "TYPE" else cell.aggregate_type or ""


def _breakdown(pairs: Iterable[tuple[str, int]]) -> list[TypeTotal]:
    tally: Counter[str] = Counter()
    for type, n in pairs:
        tally[type] += n
    return [TypeTotal(type, n) for type, n in sorted(tally.items(), key=lambda item: (-item[1], item[0]))]
