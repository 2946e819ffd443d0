"""Which event types there are: counted by the rollups, exactly, and through expiry."""

from dataclasses import dataclass
from typing import Final

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
    recent = {"$and": [{"$gte": ["$_id.hour", since]}, {"$lte": ["$_id.hour", now]}]}
    ends: Document = {
        "n": {"$sum": "$n"},
        "recent": {"$sum": "$recent"},
        "earliest": {"$min": "$earliest"},
        "latest": {"$max": "$latest"},
        "firstPosition": {"$min": "$firstPosition"},
        "lastPosition": {"$max": "$lastPosition"},
    }
    by_both = {"type": "$_id.type", "aggregateType": "$_id.aggregateType"}
    with translated(log.question_seconds):
        rows = await log.mongo.aggregate(
            log.rollups,
            [
                {"$match": {"_id.expireAt": kept(now)["expireAt"], **starting(prefix)}},
                {"$group": {"_id": by_both, **ends, "recent": {"$sum": {"$cond": [recent, "$n", 0]}}}},
                {"$group": {"_id": "$_id.type", **ends, "of": {"$push": {"type": "$_id.aggregateType", "n": "$n"}}}},
                {"$sort": {"_id": 1}},
                {"$limit": most},
            ],
        )
    hours = HOURS + (now - hour_of(now)) / HOUR
    return [_event_type(row, hours) for row in rows]


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
