"""Where in the log the events of a time range lie. Timestamps are nearly in the order of positions, but not exactly.

The rollups know the positions that the events of each hour and of each minute lie between. Where a range cuts an hour,
its minutes count.
"""

from collections.abc import Iterable
from typing import TypeAlias

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.values.moment import HOUR, MINUTE, hour_of, minute_of

Span: TypeAlias = tuple[int, int]


async def span(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Span | None:
    """The first and the last position that the rollups saw in the minutes of the range; None where there is none.

    `among` is a further condition on rollups.
    """
    ends = {op: hour_of(end) for op, end in (("$gte", low), ("$lte", high)) if end is not None}
    cut = list(_cut(low, high))
    minutes = [{"_id.minute": {"$gte": hour, "$lt": hour + HOUR}} for hour in cut]
    rows = await log.mongo.aggregate(
        log.rollups,
        [
            {"$match": {"$or": [(among or {}) | {"_id.hour": ends}, *minutes]}},
            {
                "$group": {
                    "_id": {
                        "hour": {"$cond": [{"$in": ["$_id.hour", cut]}, "$_id.hour", None]},
                        "minute": "$_id.minute",
                    },
                    "first": {"$min": "$firstPosition"},
                    "last": {"$max": "$lastPosition"},
                }
            },
        ],
    )
    return _united(_parts(rows, low, high))


async def positions(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Document:
    """The same as a condition on `_id`."""
    found = await span(log, low, high, among)
    return {"$in": []} if found is None else {"$gte": found[0], "$lte": found[1]}


def _cut(low: int | None, high: int | None) -> set[int]:
    """The hours of which the range has a part."""
    begins = set() if low is None or low % HOUR == 0 else {hour_of(low)}
    return begins | (set() if high is None or (high + 1) % HOUR == 0 else {hour_of(high)})


def _parts(rows: Iterable[Document], low: int | None, high: int | None) -> Iterable[Span]:
    minutes: dict[int, dict[int, Span]] = {}
    hours: dict[int, Span] = {}
    for row in rows:
        seen = (row["first"], row["last"])
        minute, hour = row["_id"].get("minute"), row["_id"]["hour"]
        if minute is not None:
            minutes.setdefault(hour_of(minute), {})[minute] = seen
        elif hour is not None:
            hours[hour] = seen
        else:
            yield seen
    for hour, whole in hours.items():
        of = minutes.get(hour, {})
        known = _united(of.values())
        # events that an older version stored are in no minute, and before all that are in one
        if known is None or known[0] > whole[0] or known[1] < whole[1]:
            yield whole
            continue
        part = _united(seen for minute, seen in of.items() if _is_within(minute, low, high))
        if part is not None and part[0] <= whole[1] and part[1] >= whole[0]:
            yield max(part[0], whole[0]), min(part[1], whole[1])


def _is_within(minute: int, low: int | None, high: int | None) -> bool:
    return (low is None or minute >= minute_of(low)) and (high is None or minute < minute_of(high) + MINUTE)


def _united(spans: Iterable[Span]) -> Span | None:
    several = list(spans)
    return (min(first for first, _ in several), max(last for _, last in several)) if several else None
