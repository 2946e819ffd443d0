"""Rollups: what a batch adds to the counts that answer statistics. No I/O.

Events are counted by hour of their timestamp, type, aggregate type and hour of expiry; since all events of one row
expire together, a row is exact until it is gone. Aggregates are counted by type and expiry of their last event.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from pymongo import UpdateOne

from eventscope.store import heads
from eventscope.store.documents import Event, Head
from eventscope.store.driver import Document
from eventscope.store.moment import hour_of

Row: TypeAlias = tuple[int, str, str | None, datetime | None]


def event_counts(events: Iterable[Event]) -> list[UpdateOne]:
    """The updates of `rollups` for these events."""
    rows: dict[Row, list[Event]] = {}
    for event in events:
        row = (hour_of(event["timestamp"]), event["type"], event.get("aggregateType"), event.get("expireAt"))
        rows.setdefault(row, []).append(event)
    return [UpdateOne({"_id": _key(row)}, _change(members), upsert=True) for row, members in rows.items()]


def aggregate_counts(moves: Iterable[tuple[Head | None, Head]]) -> list[UpdateOne]:
    """The updates of `populations` for heads that were made or moved."""
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


def _key(row: Row) -> Document:
    hour, type, aggregate_type, expiry = row
    return {"hour": hour, "type": type, "aggregateType": aggregate_type, "expireAt": expiry}


def _change(events: list[Event]) -> Document:
    times = [event["timestamp"] for event in events]
    return {
        "$inc": {"n": len(events)},
        "$min": {"firstPosition": events[0]["_id"], "earliest": min(times)},
        "$max": {"lastPosition": events[-1]["_id"], "latest": max(times)},
    }
