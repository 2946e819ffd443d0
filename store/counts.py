"""Counting events by rollups: exact, and in time that does not depend on how many events there are.

All events at once come from the few rows that count them by day of expiry, whole hours from those by hour. Where a time
range cuts an hour, the events of the cut part are counted, found by the positions between which the rollups saw its
minutes. What rollups know nothing of, like who did it, is counted event by
event, found by index, and over a bound it is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventscope.errors import TooComplex
from eventscope.store import by_day, read, span
from eventscope.store.driver import Document, translated
from eventscope.store.filter import Among, Types, is_pattern, matcher
from eventscope.store.log import Log
from eventscope.store.moment import HOUR, hour_of
from eventscope.store.query import kept, query

MOST_COUNTED: Final = 100_000  # events that are counted one by one
EVER: Final[Document] = {"$gte": -(2**63)}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events are counted; None leaves a part open. Both ends of the time range are included.

    With `among`, which rollups know nothing of, there may be only so many of them.
    """

    types: Types | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    among: tuple[Among, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """Events counted together. `hour` is set where cells were asked for by the hour."""

    type: str
    aggregate_type: str | None
    hour: int | None
    n: int
    earliest: int
    latest: int


async def cells(log: Log, scope: Scope, *, hourly: bool = False) -> list[Cell]:
    """The counts by type and aggregate type, and by hour if wanted; TooComplex when too many had to be gone through."""
    with translated(log.question_seconds):
        chosen = await _chosen(log, scope)
        if chosen is None:
            return []
        if scope.among:
            return await _gone_through(log, chosen, scope, hourly)
        whole, cut = _hours(scope)
        if not whole and not hourly and (everything := await _cells_by_day(log, chosen)) is not None:
            return everything
        found = await _cells_by_hour(log, chosen, whole or EVER, hourly)
        for low, high in cut:
            found += await _counted_cells(log, chosen, low, high, hourly)
    return found


async def aggregates(log: Log, scope: Scope) -> int:
    """How many different aggregates the events of the scope belong to.

    From the counters when only the aggregate type is asked for; else the events are gone through, by index.
    """
    with translated(log.question_seconds):
        if scope.types is None and scope.low is None and scope.high is None and not scope.among:
            return await _population(log, scope.aggregate_types)
        chosen = await _chosen(log, scope)
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


async def _chosen(log: Log, scope: Scope) -> Document | None:
    """The scope but for its time, as a condition on rollups; None when it can hold nothing."""
    chosen: Document = {}
    if scope.types is not None:
        names: Sequence[str] = scope.types.patterns
        if any(map(is_pattern, names)):
            fits: Any = matcher(scope.types)
            names = [type for type in await read.types(log) if fits({"type": type})]
        if not names:
            return None
        chosen["_id.type"] = {"$in": list(names)}
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


def _group(hour: Any, hourly: bool, type: str, aggregate_type: str) -> Document:
    return {"type": type, "aggregateType": aggregate_type} | ({"hour": hour} if hourly else {})


async def _cells_by_day(log: Log, chosen: Document) -> list[Cell] | None:
    rows = await _rollups(log, chosen | {"$or": by_day.rows(log.clock())}, hourly=False)
    return [_cell(row) for row in rows] if any(row["days"] for row in rows) else None


async def _cells_by_hour(log: Log, chosen: Document, hours: Document, hourly: bool) -> list[Cell]:
    rows = await _rollups(log, chosen | {"_id.hour": hours} | _kept_rows(log), hourly=hourly)
    return [_cell(row) for row in rows]


async def _rollups(log: Log, match: Document, *, hourly: bool) -> list[Document]:
    return await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": match},
            {
                "$group": {
                    "_id": _group("$_id.hour", hourly, "$_id.type", "$_id.aggregateType"),
                    "n": {"$sum": "$n"},
                    "earliest": {"$min": "$earliest"},
                    "latest": {"$max": "$latest"},
                    "days": by_day.DAYS,
                }
            },
        ],
    )


async def _counted_cells(log: Log, chosen: Document, low: int, high: int, hourly: bool) -> list[Cell]:
    match = await _events(log, chosen, Scope(low=low, high=high))
    # a cut part lies within one hour
    rows = await log.mongo.aggregate(log.events, [{"$match": match}, _tally({"$literal": hour_of(low)}, hourly)])
    return [_cell(row) for row in rows]


async def _gone_through(log: Log, chosen: Document, scope: Scope, hourly: bool) -> list[Cell]:
    # the remainder has the sign of the time, and hours before 1970 begin before their events too
    into = {"$mod": [{"$add": [{"$mod": ["$timestamp", HOUR]}, HOUR]}, HOUR]}
    hour = {"$subtract": ["$timestamp", into]}
    match = await _events(log, chosen, scope)
    rows = await log.mongo.aggregate(log.events, [{"$match": match}, *_bound(scope), _tally(hour, hourly)])
    _check(scope, sum(row["n"] for row in rows))
    return [_cell(row) for row in rows]


async def _events(log: Log, chosen: Document, scope: Scope) -> Document:
    """The scope, of which all but its time was `chosen`, as a condition on events."""
    match = [query(one) for one in scope.among] + [_renamed(chosen), kept(log.clock())]
    times = {op: end for op, end in (("$gte", scope.low), ("$lte", scope.high)) if end is not None}
    if times:
        match += [{"timestamp": times}, {"_id": await span.positions(log, scope.low, scope.high, chosen)}]
    return {"$and": [part for part in match if part]}


def _tally(hour: Document, hourly: bool) -> Document:
    return {
        "$group": {
            "_id": _group(hour, hourly, "$type", "$aggregateType"),
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
    return {"_id.expireAt": kept(log.clock())["expireAt"]}


def _renamed(chosen: Document) -> Document:
    """A condition on rollups as one on events."""
    return {key.removeprefix("_id."): value for key, value in chosen.items()}


def _cell(row: Document) -> Cell:
    group = row["_id"]
    return Cell(group["type"], group.get("aggregateType"), group.get("hour"), row["n"], row["earliest"], row["latest"])
