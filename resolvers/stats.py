"""Statistics: totals, breakdowns and histograms out of counts that were kept while events came in."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from eventscope.errors import BadInput
from eventscope.resolvers.once import Once
from eventscope.store import counts, moment
from eventscope.store.counts import Cell, Scope
from eventscope.store.filter import All, Among, Between, Filter
from eventscope.store.log import Log
from eventscope.store.moment import DAY, HOUR

Interval = Literal["HOUR", "DAY", "WEEK"]
By = Literal["NONE", "TYPE", "AGGREGATE_TYPE"]

LENGTH: Final = {"HOUR": HOUR, "DAY": DAY, "WEEK": 7 * DAY}
MONDAY: Final = 4 * DAY  # 1970-01-05, the first Monday of the epoch; ISO 8601 weeks begin on Mondays
LAST: Final = moment.of(datetime.max.replace(tzinfo=UTC))
MOST_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class TypeCount:
    """How many events are of a type."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The first and the last timestamp."""

    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Events of one stretch of time, and of one type or aggregate type where asked for by that."""

    start: int
    end: int
    key: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of the events in a scope; what costs more than the totals is asked for by the functions below.

    Where many share the counts, that is found `once` for all of them.
    """

    log: Log
    scope: Scope
    cells: tuple[Cell, ...]
    once: Once | None = None

    @property
    def total_events(self) -> int:
        """How many events."""
        return sum(cell.n for cell in self.cells)

    @property
    def event_types(self) -> int:
        """How many types of event."""
        return len({cell.type for cell in self.cells})

    @property
    def event_type_breakdown(self) -> list[TypeCount]:
        """How many events of each type, the most frequent first."""
        return _breakdown((cell.type, cell.n) for cell in self.cells)

    @property
    def aggregate_type_breakdown(self) -> list[TypeCount]:
        """How many events of each aggregate type, the most frequent first; events without one are left out."""
        return _breakdown((cell.aggregate_type, cell.n) for cell in self.cells if cell.aggregate_type is not None)

    @property
    def time_range(self) -> TimeRange | None:
        """From when to when; None where there are no events."""
        if not self.cells:
            return None
        return TimeRange(min(cell.earliest for cell in self.cells), max(cell.latest for cell in self.cells))


async def stats(log: Log, scope: Scope) -> Stats:
    """The counts of the events in the scope."""
    return Stats(log, scope, tuple(await counts.cells(log, scope)))


async def shared(log: Log, scope: Scope) -> Stats:
    """The same for many who share it."""
    return Stats(log, scope, tuple(await counts.cells(log, scope)), Once())


def meant(scope: Scope) -> Filter:
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


async def histogram(stats: Stats, interval: Interval, by: By) -> list[Bucket]:
    """The counts over time, oldest first; stretches in which nothing happened are left out."""
    if stats.once is None:
        return await _histogram(stats, interval, by)
    return await stats.once.of((interval, by), lambda: _histogram(stats, interval, by))


async def _histogram(stats: Stats, interval: Interval, by: By) -> list[Bucket]:
    length = LENGTH[interval]
    offset = MONDAY if interval == "WEEK" else 0
    tally: Counter[tuple[int, str | None]] = Counter()
    for cell in await counts.cells(stats.log, stats.scope, hourly=True):
        if by == "AGGREGATE_TYPE" and cell.aggregate_type is None:
            continue
        key = {"NONE": None, "TYPE": cell.type, "AGGREGATE_TYPE": cell.aggregate_type}[by]
        hour = cell.hour or 0
        tally[hour - (hour - offset) % length, key] += cell.n
    if len(tally) > MOST_BUCKETS:
        raise BadInput(
            f"the histogram has {len(tally)} buckets, over {MOST_BUCKETS}; take a longer interval", "interval"
        )
    ordered = sorted(tally.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    return [Bucket(start, min(start + length, LAST), key, n) for (start, key), n in ordered]


def _breakdown(pairs: Iterable[tuple[str, int]]) -> list[TypeCount]:
    tally: Counter[str] = Counter()
    for type, n in pairs:
        tally[type] += n
    return [TypeCount(type, n) for type, n in sorted(tally.items(), key=lambda item: (-item[1], item[0]))]
