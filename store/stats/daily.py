"""All unexpired events, counted by the day on which they expire: few rows, however long the log is.

Each unexpired event is counted in exactly one of the rows that `rows` selects. Those that expire before the next
midnight are taken from the rows of their hours, since some events of that day may have expired already.
"""

from datetime import datetime
from typing import Any, Final

from pymongo import InsertOne

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo import shapes
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.stats.rollups import day_key, expiry_day

DAYS: Final[Document] = {"$sum": {"$cond": [{"$gt": ["$_id.expiryDay", None]}, 1, 0]}}
"""How many rollups of a group count by day; if none, an older version may have counted by hour only."""

REBUILD_SECONDS: Final = 60.0


def rows(now: int) -> list[Document]:
    """Conditions on rollups that together select each unexpired event once. A row matches at most one of them."""
    moment, midnight = _ends(now)
    return [{"_id.expiryDay": {"$gt": midnight}}, {"_id.expireAt": {"$gt": moment, "$lte": midnight}}]


def is_row(now: int) -> Document:
    """The same as an expression on a row of the rollups."""
    moment, midnight = _ends(now)
    day, expiry = "$_id.expiryDay", "$_id.expireAt"
    return {"$or": [{"$gt": [day, midnight]}, {"$and": [{"$gt": [expiry, moment]}, {"$lte": [expiry, midnight]}]}]}


async def complete(log: Log, session: Session) -> None:
    """Rebuild the counts by day from those by hour, if they are incomplete: older versions counted by hour only.

    Call it as the holder of the lease, before anything is written.
    """
    _, midnight = _ends(log.clock())
    of_hours = {"_id.hour": {"$exists": True}, "_id.expireAt": {"$not": {"$lte": midnight}}}
    of_days = {"_id.expiryDay": {"$gt": midnight}}
    with translate_errors(log.question_seconds):
        if await _sum(log, of_hours) == await _sum(log, of_days):
            return
    with translate_errors(REBUILD_SECONDS):
        async with log.mongo.transaction(session):
            await log.rollups.delete_many({"_id.expiryDay": {"$exists": True}}, session=session)
            hours = await fetch_all(log.rollups.find({"_id.hour": {"$exists": True}}, session=session))
            days: dict[tuple[Any, ...], Document] = {}
            for hour in hours:
                key = hour.pop("_id")
                if not (shapes.is_row_name(key) and shapes.is_row(key, hour)):
                    continue  # `eventscope recount` reports it
                day = (key["type"], key["aggregateType"], expiry_day(key["expireAt"]))
                days[day] = _combine(days.get(day), hour)
            inserts = [InsertOne({"_id": day_key(*day), **counts}) for day, counts in days.items()]
            if inserts:
                await log.rollups.bulk_write(inserts, ordered=False, session=session)


def _ends(now: int) -> tuple[datetime, datetime]:
    moment = bson_date(now)
    return moment, expiry_day(moment)


def _combine(one: Document | None, other: Document) -> Document:
    if one is None:
        return other
    return {
        "n": one["n"] + other["n"],
        **{name: min(one[name], other[name]) for name in ("firstPosition", "earliest")},
        **{name: max(one[name], other[name]) for name in ("lastPosition", "latest")},
    }


async def _sum(log: Log, match: Document) -> int:
    groups = await log.mongo.aggregate(log.rollups, [{"$match": match}, {"$group": {"_id": None, "n": {"$sum": "$n"}}}])
    return int(groups[0]["n"]) if groups else 0
