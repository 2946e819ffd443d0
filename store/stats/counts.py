"""Counting events by rollups: exact, and in time that does not depend on how many events there are.

The total of all events comes from the few rows that count by day of expiry, whole hours from the rows by hour. Where a
time range cuts an hour, the events of that part are counted one by one, between the positions that the rollups have for
its minutes. Fields that rollups do not know, such as the user, are counted event by event too, with an index, up to a
limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from eventscope.errors import Blocked, TooComplex
from eventscope.store.events import time_span
from eventscope.store.filters.filter import Among, TypePatterns
from eventscope.store.filters.mongo import one_of_types, query, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.stats import daily
from eventscope.store.values.documents import INTEGERS
from eventscope.store.values.moment import HOUR, hour_of

By = Literal["type", "aggregateType"]

BOTH: Final[Sequence[By]] = ("type", "aggregateType")
MOST_BYTES: Final = 64 * 1024**2  # of counts as JSON: there may be any number of types
EVER: Final[Document] = {"$gte": -(2**63)}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events are counted; None leaves a part open. The time range includes both ends.

    Rollups do not know the fields of `among`, so with it only a limited number of events can be counted.
    """

    types: TypePatterns | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    among: tuple[Among, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """Events counted together. A member that they are not grouped by is None, or an empty text for the type."""

    type: str
    aggregate_type: str | None
    hour: int | None
    n: int
    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class TypeTotal:
    """How many events are of a type."""

    type: str
    count: int


async def cells(log: Log, scope: Scope, *, by: Sequence[By] = BOTH, hourly: bool = False) -> list[Cell]:
    """The counts grouped by type and aggregate type, or only `by` some of these, and by hour if `hourly`.

    TooComplex when too many events must be counted one by one, or the result is too large.
    """
    grouping = _Grouping(tuple(by), hourly)
    with translate_errors(log.question_seconds):
        row_filter = _row_filter(scope)
        if row_filter is None:
            return []
        if scope.among:
            return await _cells_by_event(log, row_filter, scope, grouping)
        whole_hours, cut_parts = _hours(scope)
        if (
            not whole_hours
            and not hourly
            and (everything := await _cells_by_day(log, row_filter, grouping)) is not None
        ):
            return everything
        result = await _cells_by_hour(log, row_filter, whole_hours or EVER, grouping)
        for low, high in cut_parts:
            result += await _cells_of_cut_part(log, row_filter, low, high, grouping)
    return result


def extent(cells: Sequence[Cell]) -> tuple[int, int]:
    """The first and the last time of the cells, of which there is at least one; Blocked if a time is damaged."""
    ends = [cell.earliest for cell in cells], [cell.latest for cell in cells]
    if not all(type(time) in INTEGERS for times in ends for time in times):
        raise Blocked("a time in the collection rollups is damaged: run `eventscope recount`, which repairs it")
    return min(ends[0]), max(ends[1])


async def total(log: Log, scope: Scope) -> int:
    """How many events are in the scope; TooComplex when too many must be counted one by one."""
    return sum(cell.n for cell in await cells(log, scope, by=()))


async def aggregates(log: Log, scope: Scope) -> int:
    """How many different aggregates the events of the scope belong to.

    If the scope restricts only the aggregate type, this sums counters; otherwise it reads the events, with an index.
    """
    with translate_errors(log.question_seconds):
        if scope.types is None and scope.low is None and scope.high is None and not scope.among:
            return await _population(log, scope.aggregate_types)
        row_filter = _row_filter(scope)
        if row_filter is None:
            return 0
        match = await _events(log, row_filter, scope)
        match["$and"].append({"version": {"$exists": True}})
        name = {"type": "$aggregateType", "id": "$aggregateId"}
        rows = await log.mongo.aggregate(
            log.events,
            [
                {"$match": match},
                *_bound(log, scope),
                {"$group": {"_id": name, "events": {"$sum": 1}}},
                {"$group": {"_id": None, "n": {"$sum": 1}, "events": {"$sum": "$events"}}},
            ],
        )
        _check(log, scope, rows[0]["events"] if rows else 0)
    return int(rows[0]["n"]) if rows else 0


def _row_filter(scope: Scope) -> Document | None:
    """The scope without its time, as a condition on rollups; None when nothing can match."""
    row_filter: Document = {}
    if scope.types is not None:
        if not scope.types.patterns:
            return None
        row_filter["_id.type"] = one_of_types(scope.types.patterns)
    if scope.aggregate_types is not None:
        row_filter["_id.aggregateType"] = {"$in": list(scope.aggregate_types)}
    return row_filter


def _hours(scope: Scope) -> tuple[Document, list[tuple[int, int]]]:
    """The whole hours of the range as a condition, and the parts of the hours that it cuts."""
    low, high = scope.low, scope.high
    if low is not None and high is not None and (low > high or hour_of(low) == hour_of(high)):
        return {"$in": []}, [(low, high)] if low <= high else []
    whole: Document = {}
    cut: list[tuple[int, int]] = []
    if low is not None:
        whole["$gte"] = hour_of(low + HOUR - 1)
        if low % HOUR:
            cut.append((low, whole["$gte"] - 1))
    if high is not None:
        whole["$lt"] = hour_of(high + 1)
        if (high + 1) % HOUR:
            cut.append((whole["$lt"], high))
    return whole, cut


@dataclass(frozen=True, slots=True)
class _Grouping:
    """What events are grouped by."""

    by: tuple[By, ...]
    hourly: bool

    def group(self, hour: Any, prefix: str = "$") -> Document:
        """The `_id` of a `$group` stage, for fields whose names begin with the prefix."""
        return {field: prefix + field for field in self.by} | ({"hour": hour} if self.hourly else {})


async def _cells_by_day(log: Log, row_filter: Document, grouping: _Grouping) -> list[Cell] | None:
    rows = await _rollups(log, row_filter | {"$or": daily.rows(log.clock())}, grouping)
    return [_cell(row) for row in rows] if any(row["days"] for row in rows) else None


async def _cells_by_hour(log: Log, row_filter: Document, hours: Document, grouping: _Grouping) -> list[Cell]:
    rows = await _rollups(log, row_filter | {"_id.hour": hours} | _unexpired_rows(log), grouping)
    return [_cell(row) for row in rows]


async def _aggregate(log: Log, collection: Collection, pipeline: list[Document]) -> list[Document]:
    rows = await log.mongo.aggregate_small(collection, pipeline, MOST_BYTES, log.budget)
    if rows is None:
        raise TooComplex(
            f"the counts take more than {MOST_BYTES} bytes, because there are so many event types; ask for fewer types"
        )
    return rows


async def _rollups(log: Log, match: Document, grouping: _Grouping) -> list[Document]:
    return await _aggregate(
        log,
        log.rollups,
        [
            {"$match": match},
            {
                "$group": {
                    "_id": grouping.group("$_id.hour", "$_id."),
                    "n": {"$sum": "$n"},
                    "earliest": {"$min": "$earliest"},
                    "latest": {"$max": "$latest"},
                    "days": daily.DAYS,
                }
            },
        ],
    )


async def _cells_of_cut_part(log: Log, row_filter: Document, low: int, high: int, grouping: _Grouping) -> list[Cell]:
    match = await _events(log, row_filter, Scope(low=low, high=high))
    # a cut part lies within one hour
    rows = await _aggregate(log, log.events, [{"$match": match}, _group_stage({"$literal": hour_of(low)}, grouping)])
    return [_cell(row) for row in rows]


async def _cells_by_event(log: Log, row_filter: Document, scope: Scope, grouping: _Grouping) -> list[Cell]:
    # $mod has the sign of the time; hours before 1970 must begin before their events, too
    into = {"$mod": [{"$add": [{"$mod": ["$timestamp", HOUR]}, HOUR]}, HOUR]}
    hour = {"$subtract": ["$timestamp", into]}
    match = await _events(log, row_filter, scope)
    rows = await _aggregate(log, log.events, [{"$match": match}, *_bound(log, scope), _group_stage(hour, grouping)])
    _check(log, scope, sum(row["n"] for row in rows))
    return [_cell(row) for row in rows]


async def _events(log: Log, row_filter: Document, scope: Scope) -> Document:
    """The scope as a condition on events; `row_filter` is the part of it without time."""
    match = [query(one) for one in scope.among] + [_for_events(row_filter), unexpired(log.clock())]
    times = {op: end for op, end in (("$gte", scope.low), ("$lte", scope.high)) if end is not None}
    if times:
        match += [{"timestamp": times}, {"_id": await time_span.positions(log, scope.low, scope.high, row_filter)}]
    return {"$and": [part for part in match if part]}


def _group_stage(hour: Document, grouping: _Grouping) -> Document:
    return {
        "$group": {
            "_id": grouping.group(hour),
            "n": {"$sum": 1},
            "earliest": {"$min": "$timestamp"},
            "latest": {"$max": "$timestamp"},
        }
    }


def _bound(log: Log, scope: Scope) -> list[Document]:
    return [{"$limit": log.search.most_in_stats + 1}] if scope.among else []


def _check(log: Log, scope: Scope, n: int) -> None:
    most = log.search.most_in_stats
    if scope.among and n > most:
        raise TooComplex(
            f"more than {most} events would have to be counted one by one, because counts are kept only by"
            " type, aggregate type and time; ask for a shorter time or fewer types"
        )


async def _population(log: Log, types: tuple[str, ...] | None) -> int:
    match = _unexpired_rows(log)
    if types is not None:
        match["_id.aggregateType"] = {"$in": list(types)}
    rows = await log.mongo.aggregate(
        log.populations, [{"$match": match}, {"$group": {"_id": None, "n": {"$sum": "$n"}}}]
    )
    return int(rows[0]["n"]) if rows else 0


def _unexpired_rows(log: Log) -> Document:
    return {"_id.expireAt": unexpired(log.clock())["expireAt"]}


def _for_events(row_filter: Document) -> Document:
    """A condition on rollups, converted into one on events."""
    return {key.removeprefix("_id."): value for key, value in row_filter.items()}


def _cell(row: Document) -> Cell:
    group = row["_id"]
    type, aggregate_type, hour = group.get("type", ""), group.get("aggregateType"), group.get("hour")
    return Cell(type, aggregate_type, hour, row["n"], row["earliest"], row["latest"])
