"""Counting events by rollups: exact, and in time that does not depend on how many events there are.

All events at once come from the few rows that count them by day of expiry, whole hours from those by hour. Where a time
range cuts an hour, the events of the cut part are counted, found by the positions between which the rollups saw its
minutes. What rollups know nothing of, like who did it, is counted event by
event, found by index, and over a bound it is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from eventscope.errors import TooComplex
from eventscope.store.events import time_span
from eventscope.store.filters.filter import Among, TypePatterns
from eventscope.store.filters.mongo import one_of_types, query, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.stats import daily
from eventscope.store.values.moment import HOUR, hour_of

By = Literal["type", "aggregateType"]

BOTH: Final[Sequence[By]] = ("type", "aggregateType")
MOST_COUNTED: Final = 100_000  # events that are counted one by one
MOST_BYTES: Final = 64 * 1024**2  # of counts as text: there may be any number of types
EVER: Final[Document] = {"$gte": -(2**63)}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events are counted; None leaves a part open. Both ends of the time range are included.

    With `among`, which rollups know nothing of, there may be only so many of them.
    """

    types: TypePatterns | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    among: tuple[Among, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """Events counted together. What they are not told apart by is None, or empty if it is the type."""

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
    """The counts by type and aggregate type, or `by` one or none of them, and by hour if wanted.

    TooComplex when too many had to be gone through, or too much came out.
    """
    apart = _Apart(tuple(by), hourly)
    with translate_errors(log.question_seconds):
        chosen = _chosen(scope)
        if chosen is None:
            return []
        if scope.among:
            return await _gone_through(log, chosen, scope, apart)
        whole, cut = _hours(scope)
        if not whole and not hourly and (everything := await _cells_by_day(log, chosen, apart)) is not None:
            return everything
        found = await _cells_by_hour(log, chosen, whole or EVER, apart)
        for low, high in cut:
            found += await _counted_cells(log, chosen, low, high, apart)
    return found


async def total(log: Log, scope: Scope) -> int:
    """How many events there are in the scope; TooComplex when too many had to be gone through."""
    return sum(cell.n for cell in await cells(log, scope, by=()))


async def aggregates(log: Log, scope: Scope) -> int:
    """How many different aggregates the events of the scope belong to.

    From the counters when only the aggregate type is asked for; else the events are gone through, by index.
    """
    with translate_errors(log.question_seconds):
        if scope.types is None and scope.low is None and scope.high is None and not scope.among:
            return await _population(log, scope.aggregate_types)
        chosen = _chosen(scope)
        if chosen is None:
            return 0
        match = await _events(log, chosen, scope)
        match["$and"].append({"version": {"$exists": True}})
        name = {"type": "$aggregateType", "id": "$aggregateId"}
        rows = await log.mongo.aggregate(
            log.events,
            [
                {"$match": match},
                *_bound(scope),
                {"$group": {"_id": name, "events": {"$sum": 1}}},
                {"$group": {"_id": None, "n": {"$sum": 1}, "events": {"$sum": "$events"}}},
            ],
        )
        _check(scope, rows[0]["events"] if rows else 0)
    return int(rows[0]["n"]) if rows else 0


def _chosen(scope: Scope) -> Document | None:
    """The scope but for its time, as a condition on rollups; None when it can hold nothing."""
    chosen: Document = {}
    if scope.types is not None:
        if not scope.types.patterns:
            return None
        chosen["_id.type"] = one_of_types(scope.types.patterns)
    if scope.aggregate_types is not None:
        chosen["_id.aggregateType"] = {"$in": list(scope.aggregate_types)}
    return chosen


def _hours(scope: Scope) -> tuple[Document, list[tuple[int, int]]]:
    """The range of whole hours, and the parts of hours that are cut."""
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
class _Apart:
    """What events are told apart by."""

    by: tuple[By, ...]
    hourly: bool

    def group(self, hour: Any, prefix: str = "$") -> Document:
        """That as the key of a group, the fields being those that begin with the prefix."""
        return {field: prefix + field for field in self.by} | ({"hour": hour} if self.hourly else {})


async def _cells_by_day(log: Log, chosen: Document, apart: _Apart) -> list[Cell] | None:
    rows = await _rollups(log, chosen | {"$or": daily.rows(log.clock())}, apart)
    return [_cell(row) for row in rows] if any(row["days"] for row in rows) else None


async def _cells_by_hour(log: Log, chosen: Document, hours: Document, apart: _Apart) -> list[Cell]:
    rows = await _rollups(log, chosen | {"_id.hour": hours} | _kept_rows(log), apart)
    return [_cell(row) for row in rows]


async def _bounded(log: Log, collection: Collection, pipeline: list[Document]) -> list[Document]:
    rows = await log.mongo.aggregate_small(collection, pipeline, MOST_BYTES, log.budget)
    if rows is None:
        raise TooComplex(
            f"the counts take over {MOST_BYTES} bytes, for there are so many types of event; ask for fewer types"
        )
    return rows


async def _rollups(log: Log, match: Document, apart: _Apart) -> list[Document]:
    return await _bounded(
        log,
        log.rollups,
        [
            {"$match": match},
            {
                "$group": {
                    "_id": apart.group("$_id.hour", "$_id."),
                    "n": {"$sum": "$n"},
                    "earliest": {"$min": "$earliest"},
                    "latest": {"$max": "$latest"},
                    "days": daily.DAYS,
                }
            },
        ],
    )


async def _counted_cells(log: Log, chosen: Document, low: int, high: int, apart: _Apart) -> list[Cell]:
    match = await _events(log, chosen, Scope(low=low, high=high))
    # a cut part lies within one hour
    rows = await _bounded(log, log.events, [{"$match": match}, _tally({"$literal": hour_of(low)}, apart)])
    return [_cell(row) for row in rows]


async def _gone_through(log: Log, chosen: Document, scope: Scope, apart: _Apart) -> list[Cell]:
    # the remainder has the sign of the time, and hours before 1970 begin before their events too
    into = {"$mod": [{"$add": [{"$mod": ["$timestamp", HOUR]}, HOUR]}, HOUR]}
    hour = {"$subtract": ["$timestamp", into]}
    match = await _events(log, chosen, scope)
    rows = await _bounded(log, log.events, [{"$match": match}, *_bound(scope), _tally(hour, apart)])
    _check(scope, sum(row["n"] for row in rows))
    return [_cell(row) for row in rows]


async def _events(log: Log, chosen: Document, scope: Scope) -> Document:
    """The scope, of which all but its time was `chosen`, as a condition on events."""
    match = [query(one) for one in scope.among] + [_renamed(chosen), unexpired(log.clock())]
    times = {op: end for op, end in (("$gte", scope.low), ("$lte", scope.high)) if end is not None}
    if times:
        match += [{"timestamp": times}, {"_id": await time_span.positions(log, scope.low, scope.high, chosen)}]
    return {"$and": [part for part in match if part]}


def _tally(hour: Document, apart: _Apart) -> Document:
    return {
        "$group": {
            "_id": apart.group(hour),
            "n": {"$sum": 1},
            "earliest": {"$min": "$timestamp"},
            "latest": {"$max": "$timestamp"},
        }
    }


def _bound(scope: Scope) -> list[Document]:
    return [{"$limit": MOST_COUNTED + 1}] if scope.among else []


def _check(scope: Scope, n: int) -> None:
    if scope.among and n > MOST_COUNTED:
        raise TooComplex(
            f"over {MOST_COUNTED} events would have to be gone through, for counts are kept by type, aggregate type "
            "and time only; ask for a shorter time or fewer types"
        )


async def _population(log: Log, types: tuple[str, ...] | None) -> int:
    asked = _kept_rows(log)
    if types is not None:
        asked["_id.aggregateType"] = {"$in": list(types)}
    rows = await log.mongo.aggregate(
        log.populations, [{"$match": asked}, {"$group": {"_id": None, "n": {"$sum": "$n"}}}]
    )
    return int(rows[0]["n"]) if rows else 0


def _kept_rows(log: Log) -> Document:
    return {"_id.expireAt": unexpired(log.clock())["expireAt"]}


def _renamed(chosen: Document) -> Document:
    """A condition on rollups as one on events."""
    return {key.removeprefix("_id."): value for key, value in chosen.items()}


def _cell(row: Document) -> Cell:
    group = row["_id"]
    type, aggregate_type, hour = group.get("type", ""), group.get("aggregateType"), group.get("hour")
    return Cell(type, aggregate_type, hour, row["n"], row["earliest"], row["latest"])
