"""The rows of `rollups` recounted by MongoDB from a part of the log, and how much of them is certain."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.shapes import is_row, is_row_name
from eventscope.store.recount.difference import Kind
from eventscope.store.stats.rollups import day_key, expiry_day
from eventscope.store.values.moment import HOUR, MINUTE

RowKey: TypeAlias = tuple[tuple[str, Any], ...]
Rows: TypeAlias = dict[RowKey, Document]

OURS: Final[Document] = {"timestamp": {"$type": "number"}, "type": {"$type": "string"}}
"""Matches what every event has, so that no foreign document is counted."""

FROM_START: Final[Document] = {"_id": {"$gt": 0}}
"""Matches all events, but no foreign documents whose ids sort before numbers."""

FIRST: Final[Sequence[str]] = ("firstPosition", "earliest")
ENDS: Final[Document] = {"firstPosition": {"$min": "$_id"}, "lastPosition": {"$max": "$_id"}}
LAST: Final[Sequence[str]] = ("lastPosition", "latest")


@dataclass(slots=True)
class Tally:
    """Rows without their `_id`, keyed by the members of the `_id`."""

    rows: Rows = field(default_factory=dict)

    def add(self, key: Document, row: Document) -> None:
        """Add the counts of the row."""
        name = key_of(key)
        self.rows[name] = union(self.rows.get(name), row)


def key_of(id: Document) -> RowKey:
    """The members of an `_id` as a hashable key."""
    return tuple(id.items())


def union(one: Document | None, other: Document | None) -> Document:
    """The row that counts the events of both, which have none in common."""
    if one is None or other is None:
        return dict(one or other or {})
    both = {name: min(one[name], other[name]) for name in FIRST if name in one}
    both |= {name: max(one[name], other[name]) for name in LAST if name in one}
    return both | ({"n": one["n"] + other["n"]} if "n" in one else {})


async def count(log: Log, tally: Tally, match: Document, **options: Any) -> None:
    """Add the matching events, which must not be in the tally yet."""
    for key, row in await hour_rows(log, match, **options):
        tally.add(key, row)
        tally.add(day_key(key["type"], key["aggregateType"], expiry_day(key["expireAt"])), row)
    for row in await _groups(log, match, {"_id": {"minute": _floor(MINUTE)}, **ENDS}, options):
        if is_row_name(key := row.pop("_id")):
            tally.add(key, row)


async def hour_rows(log: Log, match: Document, **options: Any) -> list[tuple[Document, Document]]:
    """The rows by hour of the matching events, each with its `_id`."""
    hour = {
        "hour": _floor(HOUR),
        "type": "$type",
        "aggregateType": {"$ifNull": ["$aggregateType", None]},
        "expireAt": {"$ifNull": ["$expireAt", None]},
    }
    times: Document = {"n": {"$sum": 1}, "earliest": {"$min": "$timestamp"}, "latest": {"$max": "$timestamp"}}
    rows = [(row.pop("_id"), row) for row in await _groups(log, match, {"_id": hour, **ENDS, **times}, options)]
    return [(key, row) for key, row in rows if is_row_name(key)]


def kind(key: RowKey) -> Kind:
    """The kind of the row."""
    match key[0][0]:
        case "hour":
            return "hour"
        case "expiryDay":
            return "day"
        case _:
            return "minute"


def correct_row(
    key: RowKey, found: Document | None, counted: Document | None, soon: datetime, present: Container[int]
) -> Document | None:
    """The correct row, given `counted` from all existing events; None if there must be none.

    Events that expire by `soon` may be deleted already, so for these only what the row lacks is certain. No event is
    missing at the positions in `present`. A damaged row says nothing.
    """
    members = dict(key)
    if found is not None and not is_row(members, found):
        found = None
    if "minute" in members:
        return _correct_span(found, counted, present)
    if "expiryDay" in members:
        return (
            found if members["expiryDay"] <= expiry_day(soon) else counted
        )  # on such days, its hours are counted instead
    if members["expireAt"] is None or members["expireAt"] > soon:
        return counted
    lacks = counted is not None and (found is None or found["lastPosition"] < counted["lastPosition"])
    return counted if lacks else found


def _correct_span(found: Document | None, counted: Document | None, present: Container[int]) -> Document | None:
    """The span of a minute may reach further than its existing events: as far as the deleted ones."""
    if found is None:
        return counted
    first, last = found["firstPosition"], found["lastPosition"]
    if counted is None:
        return None if first in present or last in present or first > last else found
    if first > counted["firstPosition"] or first in present:
        first = counted["firstPosition"]
    if last < counted["lastPosition"] or last in present:
        last = counted["lastPosition"]
    return {"firstPosition": first, "lastPosition": last}


def end_positions(rows: Iterable[Document]) -> list[int]:
    """The first and last positions in the rows."""
    return [row[name] for row in rows for name in ("firstPosition", "lastPosition") if isinstance(row.get(name), int)]


def _floor(length: int) -> Document:
    # $mod has the sign of the time; hours before 1970 must begin before their events, too
    return {"$subtract": ["$timestamp", {"$mod": [{"$add": [{"$mod": ["$timestamp", length]}, length]}, length]}]}


async def _groups(log: Log, match: Document, group: Document, options: Document) -> list[Document]:
    return await log.mongo.aggregate(log.events, [{"$match": OURS | match}, {"$group": group}], **options)
