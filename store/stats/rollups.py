"""Rollups: what a batch adds to the counts that answer statistics. No I/O.

Events are counted by hour of their timestamp, type, aggregate type and hour of expiry. All events of a row expire
together, so a row is exact until it is deleted. Events are also counted by the day on which they expire, for totals of
all events: these rows stay few, however long the log is. For each minute, the first and last position of its events is
recorded. Aggregates are counted by type and expiry of their last event.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from pymongo import UpdateOne

from eventscope.store import heads
from eventscope.store.mongo.driver import Document
from eventscope.store.values.documents import EventDocument, Head
from eventscope.store.values.moment import hour_of, minute_of

Row: TypeAlias = tuple[int, str, str | None, datetime | None]

NEVER: Final = datetime(9999, 12, 31)
"""The day of expiry of events that are kept for ever."""


def event_counts(events: Iterable[EventDocument]) -> list[UpdateOne]:
    """The updates of `rollups` for these events."""
    hours: dict[Row, list[EventDocument]] = {}
    minutes: dict[int, list[int]] = {}
    for event in events:
        time = event["timestamp"]
        row = (hour_of(time), event["type"], event.get("aggregateType"), event.get("expireAt"))
        hours.setdefault(row, []).append(event)
        minutes.setdefault(minute_of(time), []).append(event["_id"])
    days: dict[tuple[str, str | None, datetime], list[EventDocument]] = {}
    for (_, type, aggregate_type, expiry), members in hours.items():
        days.setdefault((type, aggregate_type, expiry_day(expiry)), []).extend(members)
    return [
        *(_update(hour_key(row), _counts(members)) for row, members in hours.items()),
        *(_update(day_key(*row), _counts(members)) for row, members in days.items()),
        *(_update({"minute": minute}, _span(positions)) for minute, positions in minutes.items()),
    ]


def day_key(type: str, aggregate_type: str | None, day: datetime) -> Document:
    """The `_id` of the row of all events of a type that expire on a day."""
    return {"expiryDay": day, "type": type, "aggregateType": aggregate_type}


def expiry_day(expiry: datetime | None) -> datetime:
    """The midnight that ends the day of that moment (midnight itself included); NEVER without expiry."""
    if expiry is None:
        return NEVER
    midnight = expiry.replace(hour=0, minute=0, second=0, microsecond=0)
    return expiry if expiry == midnight else midnight + timedelta(days=1)


def aggregate_counts(moves: Iterable[tuple[Head | None, Head]]) -> list[UpdateOne]:
    """The updates of `populations` for pairs of an aggregate's head before (None if it is new) and after."""
    changes: Counter[tuple[str, datetime | None]] = Counter()
    for before, after in moves:
        if before is not None:
            changes[heads.population(before)] -= 1
        changes[heads.population(after)] += 1
    return [
        UpdateOne({"_id": {"aggregateType": type, "expireAt": expiry}}, {"$inc": {"n": n}}, upsert=True)
        for (type, expiry), n in changes.items()
        if n
    ]


def _update(key: Document, change: Document) -> UpdateOne:
    return UpdateOne({"_id": key}, change, upsert=True)


def hour_key(row: Row) -> Document:
    """The `_id` of the row of the events of an hour."""
    hour, type, aggregate_type, expiry = row
    return {"hour": hour, "type": type, "aggregateType": aggregate_type, "expireAt": expiry}


def _counts(events: list[EventDocument]) -> Document:
    times = [event["timestamp"] for event in events]
    positions = [event["_id"] for event in events]
    return {
        "$inc": {"n": len(events)},
        "$min": {"firstPosition": min(positions), "earliest": min(times)},
        "$max": {"lastPosition": max(positions), "latest": max(times)},
    }


def _span(positions: list[int]) -> Document:
    return {"$min": {"firstPosition": positions[0]}, "$max": {"lastPosition": positions[-1]}}
