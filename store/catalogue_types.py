"""Which event types there are: counted by the rollups, exactly, and through expiry."""

from dataclasses import dataclass
from typing import Final

from eventscope.store import by_day, counts
from eventscope.store.driver import Document, translated
from eventscope.store.log import Log
from eventscope.store.moment import HOUR, hour_of
from eventscope.store.query import kept

HOURS: Final = 24
LAST: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class TypeCount:
    """How many events are of a type."""

    type: str
    count: int


@dataclass(frozen=True, slots=True)
class EventType:
    """One event type: how many of its events are kept, and where and when. `per_hour` is of the last day."""

    type: str
    count: int
    first_seen_at: int
    last_seen_at: int
    first_position: int
    last_position: int
    per_hour: float
    aggregate_types: list[TypeCount]


async def types(log: Log, prefix: str, most: int) -> list[EventType]:
    """The types that start with the prefix, in the order of the alphabet, and no more than `most`."""
    now = log.clock()
    since = hour_of(now) - HOURS * HOUR
    is_kept = {"_id.expireAt": kept(now)["expireAt"]}
    last_day = {"_id.hour": {"$gte": since, "$lte": now}, **is_kept}
    with translated(log.question_seconds):
        rows = await _rows(log, since, {"$or": [*by_day.rows(now), last_day]}, by_day.is_row(now), prefix, most)
        if not any(row["days"] for row in rows):
            ever = {"_id.hour": counts.EVER, **is_kept}
            rows = await _rows(log, since, ever, {"$literal": True}, prefix, most)
    hours = HOURS + (now - hour_of(now)) / HOUR
    return [_event_type(row, hours) for row in rows]


async def _rows(log: Log, since: int, match: Document, counting: Document, prefix: str, most: int) -> list[Document]:
    """The matching rollups by type; some count for all events, and those of the last day for how often they come."""
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
    # what is null is passed over by $min and $max
    counted = {name: {"$cond": [counting, f"${name}", None]} for name in ends if name not in ("n", "recent")}
    ns = {"n": {"$cond": [counting, "$n", 0]}, "recent": {"$cond": [recent, "$n", 0]}}
    return await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": match | starting(prefix)},
            {"$set": ns | counted},
            {"$group": {"_id": by_both, **ends, "days": by_day.DAYS}},
            {
                "$group": {
                    "_id": "$_id.type",
                    **ends,
                    "days": {"$sum": "$days"},
                    "of": {"$push": {"type": "$_id.aggregateType", "n": "$n"}},
                }
            },
            {"$sort": {"_id": 1}},
            {"$limit": most},
        ],
    )


def starting(prefix: str) -> Document:
    """The condition on rollups that the type starts with the prefix: a range, for a pattern would read it as one."""
    if not prefix:
        return {}
    stem = prefix.rstrip(LAST)
    end = {"$lt": stem[:-1] + _next(stem[-1])} if stem else {}
    return {"_id.type": {"$gte": prefix, **end}}


def _next(character: str) -> str:
    # texts are in the order of their code points, among which there is a gap
    return "\ue000" if character == "\ud7ff" else chr(ord(character) + 1)


def _event_type(row: Document, hours: float) -> EventType:
    of = [TypeCount(one["type"], one["n"]) for one in row["of"] if one.get("type") is not None]
    return EventType(
        type=row["_id"],
        count=row["n"],
        first_seen_at=row["earliest"],
        last_seen_at=row["latest"],
        first_position=row["firstPosition"],
        last_position=row["lastPosition"],
        per_hour=row["recent"] / hours,
        aggregate_types=sorted(of, key=lambda one: (-one.count, one.type)),
    )
