"""Where in the log the events of a time range lie. Timestamps are nearly, but not exactly, in the order of positions.

The rollups know between which positions the events of each hour and each minute lie. Where a range cuts an hour, its
minutes decide.
"""

from collections.abc import Iterable
from typing import TypeAlias

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.values.moment import HOUR, MINUTE, hour_of, minute_of

Span: TypeAlias = tuple[int, int]


async def span(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Span | None:
    """The first and the last position in the minutes of the range; None if there is none.

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
    return _union(_parts(rows, low, high))


async def positions(log: Log, low: int | None, high: int | None, among: Document | None = None) -> Document:
    """The same as a condition on the `_id` of events."""
    range = await span(log, low, high, among)
    return {"$in": []} if range is None else {"$gte": range[0], "$lte": range[1]}


def _cut(low: int | None, high: int | None) -> set[int]:
    """The hours that the range cuts."""
    begins = set() if low is None or low % HOUR == 0 else {hour_of(low)}
    return begins | (set() if high is None or (high + 1) % HOUR == 0 else {hour_of(high)})


def _parts(rows: Iterable[Document], low: int | None, high: int | None) -> Iterable[Span]:
    minutes: dict[int, dict[int, Span]] = {}
    hours: dict[int, Span] = {}
    for row in rows:
        extent = (row["first"], row["last"])
        minute, hour = row["_id"].get("minute"), row["_id"]["hour"]
        if minute is not None:
            minutes.setdefault(hour_of(minute), {})[minute] = extent
        elif hour is not None:
            hours[hour] = extent
        else:
            yield extent
    for hour, whole in hours.items():
        minutes_of_hour = minutes.get(hour, {})
        covered = _union(minutes_of_hour.values())
        # older versions did not count by minute: events that they stored lie before all counted ones
        if covered is None or covered[0] > whole[0] or covered[1] < whole[1]:
            yield whole
            continue
        part = _union(extent for minute, extent in minutes_of_hour.items() if _is_within(minute, low, high))
        if part is not None and part[0] <= whole[1] and part[1] >= whole[0]:
            yield max(part[0], whole[0]), min(part[1], whole[1])


def _is_within(minute: int, low: int | None, high: int | None) -> bool:
    return (low is None or minute >= minute_of(low)) and (high is None or minute < minute_of(high) + MINUTE)


def _union(spans: Iterable[Span]) -> Span | None:
    several = list(spans)
    return (min(first for first, _ in several), max(last for _, last in several)) if several else None
