"""The event types of the log, counted exactly by the rollups, without expired events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventscope.store.events.types import starting
from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.stats import counts, daily
from eventscope.store.stats.counts import TypeTotal
from eventscope.store.values.moment import HOUR, hour_of

HOURS: Final = 24
MOST_OF_ONE: Final = 100  # aggregate types in the summary of one event type


@dataclass(frozen=True, slots=True)
class EventTypeSummary:
    """One event type, and the number, times and positions of its unexpired events.

    `per_hour` is the rate of the last day.
    """

    type: str
    count: int
    first_seen_at: int
    last_seen_at: int
    first_position: int
    last_position: int
    per_hour: float
    aggregate_types: list[TypeTotal]
    """The most frequent ones; `aggregate_types_truncated` says whether there are more."""
    aggregate_types_truncated: bool


async def types(log: Log, prefix: str, most: int, after: str | None = None) -> list[EventTypeSummary]:
    """At most `most` types that start with the prefix and come after the type `after`, sorted by type."""
    return await _types(log, starting(prefix) | ({} if after is None else {"$gt": after}), most)


async def by_name(log: Log, names: Sequence[str]) -> list[EventTypeSummary]:
    """Those of the types that exist, sorted by type."""
    return await _types(log, {"$in": list(names)}, len(names))


async def _types(log: Log, type_match: Document, most: int) -> list[EventTypeSummary]:
    now = log.clock()
    since = hour_of(now) - HOURS * HOUR
    is_unexpired = {"_id.expireAt": unexpired(now)["expireAt"]}
    last_day = {"_id.hour": {"$gte": since, "$lte": now}, **is_unexpired}
    with translate_errors(log.question_seconds):
        rows = await _rows(log, since, {"$or": [*daily.rows(now), last_day]}, daily.is_row(now), type_match, most)
        if not any(row["days"] for row in rows):
            ever = {"_id.hour": counts.EVER, **is_unexpired}
            rows = await _rows(log, since, ever, {"$literal": True}, type_match, most)
    hours = HOURS + (now - hour_of(now)) / HOUR
    return [_event_type(row, hours) for row in rows]


async def _rows(
    log: Log, since: int, match: Document, is_counted: Document, type_match: Document, most: int
) -> list[Document]:
    """The matching rollups, summed by type: those with `is_counted` for totals, those of the last day for rates."""
    recent = {"$and": [{"$gte": ["$_id.hour", since]}, {"$lte": ["$_id.hour", log.clock()]}]}
    ends: Document = {
        "n": {"$sum": "$n"},
        "recent": {"$sum": "$recent"},
        "earliest": {"$min": "$earliest"},
        "latest": {"$max": "$latest"},
        "firstPosition": {"$min": "$firstPosition"},
        "lastPosition": {"$max": "$lastPosition"},
    }
    by_both = {"type": "$_id.type", "aggregateType": "$_id.aggregateType"}
    # $min and $max ignore null
    measures = {name: {"$cond": [is_counted, f"${name}", None]} for name in ends if name not in ("n", "recent")}
    ns = {"n": {"$cond": [is_counted, "$n", 0]}, "recent": {"$cond": [recent, "$n", 0]}}
    return await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": match | {"_id.type": type_match}},
            {"$set": ns | measures},
            {"$group": {"_id": by_both, **ends, "days": daily.DAYS}},
            {
                "$group": {
                    "_id": "$_id.type",
                    **ends,
                    "days": {"$sum": "$days"},
                    "of": {
                        "$topN": {
                            "n": MOST_OF_ONE
                            + 2,  # one for events without an aggregate type, one to show that there are more
                            "sortBy": {"n": -1, "_id.aggregateType": 1},
                            "output": {"type": "$_id.aggregateType", "n": "$n"},
                        }
                    },
                }
            },
            {"$sort": {"_id": 1}},
            {"$limit": most},
        ],
    )


def _event_type(row: Document, hours: float) -> EventTypeSummary:
    # n is 0 where only rows outside the count matched, those of the last day
    of = [TypeTotal(one["type"], one["n"]) for one in row["of"] if one.get("type") is not None and one["n"]]
    return EventTypeSummary(
        type=row["_id"],
        count=row["n"],
        first_seen_at=row["earliest"],
        last_seen_at=row["latest"],
        first_position=row["firstPosition"],
        last_position=row["lastPosition"],
        per_hour=row["recent"] / hours,
        aggregate_types=sorted(of, key=lambda one: (-one.count, one.type))[:MOST_OF_ONE],
        aggregate_types_truncated=len(of) > MOST_OF_ONE,
    )
