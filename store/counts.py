"""Counting events by rollups: exact, and in time that does not depend on how many events there are.

Whole hours come from the rollups. Where a time range cuts an hour, the events of the cut part are counted, found by the
positions between which the rollups saw that hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventscope.store import read, span
from eventscope.store.driver import Document, translated
from eventscope.store.filter import Types, is_pattern, matcher
from eventscope.store.log import Log
from eventscope.store.moment import HOUR, hour_of
from eventscope.store.query import kept


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events are counted; None leaves a part open. Both ends of the time range are included."""

    types: Types | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None


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
    """The counts by type and aggregate type, and by hour if wanted."""
    with translated(log.question_seconds):
        chosen = await _chosen(log, scope)
        if chosen is None:
            return []
        whole, cut = _hours(scope)
        found = await _rollup_cells(log, chosen, whole, hourly)
        for low, high in cut:
            found += await _counted_cells(log, chosen, low, high, hourly)
    return found


async def aggregates(log: Log, scope: Scope) -> int:
    """How many different aggregates the events of the scope belong to.

    From the counters when only the aggregate type is asked for; else the events are gone through, by index.
    """
    with translated(log.question_seconds):
        if scope.types is None and scope.low is None and scope.high is None:
            return await _population(log, scope.aggregate_types)
        chosen = await _chosen(log, scope)
        if chosen is None:
            return 0
        match: list[Document] = [_renamed(chosen), kept(log.clock()), {"version": {"$exists": True}}]
        times = {op: end for op, end in (("$gte", scope.low), ("$lte", scope.high)) if end is not None}
        if times:
            match.append({"timestamp": times})
            match.append({"_id": await span.positions(log, scope.low, scope.high, chosen)})
        rows = await log.mongo.aggregate(
            log.events,
            [
                {"$match": {"$and": [part for part in match if part]}},
                {"$group": {"_id": {"type": "$aggregateType", "id": "$aggregateId"}}},
                {"$count": "n"},
            ],
        )
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


async def _rollup_cells(log: Log, chosen: Document, whole: Document, hourly: bool) -> list[Cell]:
    rows = await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": chosen | ({"_id.hour": whole} if whole else {}) | _kept_rows(log)},
            {
                "$group": {
                    "_id": _group("$_id.hour", hourly, "$_id.type", "$_id.aggregateType"),
                    "n": {"$sum": "$n"},
                    "earliest": {"$min": "$earliest"},
                    "latest": {"$max": "$latest"},
                }
            },
        ],
    )
    return [_cell(row) for row in rows]


async def _counted_cells(log: Log, chosen: Document, low: int, high: int, hourly: bool) -> list[Cell]:
    positions = await span.positions(log, low, high, chosen)
    hour = {"$literal": hour_of(low)}  # a cut part lies within one hour
    within = {"_id": positions, "timestamp": {"$gte": low, "$lte": high}}
    rows = await log.mongo.aggregate(
        log.events,
        [
            {"$match": {"$and": [within, _renamed(chosen), kept(log.clock())]}},
            {
                "$group": {
                    "_id": _group(hour, hourly, "$type", "$aggregateType"),
                    "n": {"$sum": 1},
                    "earliest": {"$min": "$timestamp"},
                    "latest": {"$max": "$timestamp"},
                }
            },
        ],
    )
    return [_cell(row) for row in rows]


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
