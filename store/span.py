"""Where in the log the events of a time range lie. Timestamps are nearly in the order of positions, but not exactly."""

from eventscope.store.driver import Document
from eventscope.store.log import Log
from eventscope.store.moment import hour_of


async def positions(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Document:
    """The positions between which the rollups saw the hours of the range, as a condition on `_id`.

    `among` is a further condition on rollups.
    """
    ends = {op: hour_of(end) for op, end in (("$gte", low), ("$lte", high)) if end is not None}
    rows = await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": (among or {}) | ({"_id.hour": ends} if ends else {})},
            {"$group": {"_id": None, "first": {"$min": "$firstPosition"}, "last": {"$max": "$lastPosition"}}},
        ],
    )
    return {"$gte": rows[0]["first"], "$lte": rows[0]["last"]} if rows else {"$in": []}
