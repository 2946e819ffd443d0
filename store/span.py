"""Where in the log the events of a time range lie. Timestamps are nearly in the order of positions, but not exactly."""

from eventscope.store.driver import Document
from eventscope.store.log import Log
from eventscope.store.moment import hour_of


async def span(log: Log, low: int | None, high: int | None, among: Document | None = None) -> tuple[int, int] | None:
    """The first and the last position that the rollups saw in the hours of the range; None where there is none.

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
    return (rows[0]["first"], rows[0]["last"]) if rows else None


async def positions(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Document:
    """The same as a condition on `_id`."""
    found = await span(log, low, high, among)
    return {"$in": []} if found is None else {"$gte": found[0], "$lte": found[1]}
