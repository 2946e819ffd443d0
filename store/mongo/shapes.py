"""Whether a derived document has the shape that the log itself writes. No I/O.

Somebody may have edited the database. Counting on from such a document would spread the error to other counts, so
whatever reads derived documents in order to change them checks their shape first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from eventscope.store.mongo.driver import Document
from eventscope.store.values.documents import INTEGERS, Head

MOST: Final = 2**53
"""No position or count comes near this; the sum of two such numbers still fits into MongoDB's integers."""

TIMES: Final = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Microseconds from the year 1 to 9999: all times that a message can state."""

TEXT: Final[Document] = {"$type": "string"}
HEADS: Final[Document] = {
    "_id.type": TEXT,
    "_id.id": TEXT,
    "$expr": {"$eq": ["$_id", {"type": "$_id.type", "id": "$_id.id"}]},
}
"""Matches the documents of `aggregates` that are named like a head."""


def _typed(path: str, *types: str) -> Document:
    return {"$in": [{"$type": f"${path}"}, list(types)]}


# as expressions, these conditions do not influence the choice of index, unlike those of `HEADS`
WHOLE_HEADS: Final[Document] = {
    "$expr": {
        "$and": [
            HEADS["$expr"],
            *(_typed(path, "string") for path in ("_id.type", "_id.id", "last.type")),
            *(
                _typed(f"{end}.{name}", "int", "long")
                for end in ("first", "last")
                for name in ("position", "timestamp")
            ),
            _typed("version", "int", "long"),
            _typed("deleted", "bool"),
            _typed("firstExpireAt", "date", "missing"),
        ]
    }
}
"""Matches the documents of `aggregates` that can be read as heads."""

WHOLE_REJECTIONS: Final[Document] = {
    "$expr": {
        "$and": [
            *(_typed(path, "string") for path in ("code", "reason", "subject")),
            *(_typed(path, "int", "long") for path in ("_id", "recordedAt")),
            *(_typed(path, "object") for path in ("headers", "source")),
            _typed("raw", "binData"),
            _typed("expireAt", "date", "null", "missing"),
        ]
    }
}
"""Matches the documents of `rejected` that can be read as rejected messages."""

SPAN: Final = frozenset({"firstPosition", "lastPosition"})
COUNTS: Final = SPAN | {"n", "earliest", "latest"}
MARK: Final = frozenset({"position", "timestamp", "type"})
HEAD_MEMBERS: Final = frozenset({"version", "first", "last", "deleted"})
"""The members that every head has."""


def is_event(event: Mapping[str, Any]) -> bool:
    """Whether a document of `events` has valid members for counting it, and a valid version and expiry if any."""
    return (
        _is_number(event["_id"])
        and _is_time(event.get("timestamp"))
        and isinstance(event.get("type"), str)
        and ("version" not in event or _is_number(event["version"]))
        and ("expireAt" not in event or isinstance(event["expireAt"], datetime))
    )


def is_row_name(id: Any) -> bool:
    """Whether `id` can be the `_id` of a row of `rollups`."""
    match list(id.items()) if isinstance(id, Mapping) else ():
        case [("minute", minute)]:
            return _is_time(minute)
        case [("expiryDay", datetime()), ("type", str()), ("aggregateType", str() | None)]:
            return True
        case [
            ("hour", hour),
            ("type", str()),
            ("aggregateType", str() | None),
            ("expireAt", datetime() | None),
        ]:
            return _is_time(hour)
        case _:
            return False


def is_row(id: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether the row with that `_id`, passed without it, has the right members and types."""
    if row.keys() != (SPAN if "minute" in id else COUNTS):
        return False
    return all(map(_is_number, map(row.get, row.keys() - {"earliest", "latest"}))) and all(
        map(_is_time, map(row.get, row.keys() & {"earliest", "latest"}))
    )


def is_population_name(id: Any) -> bool:
    """Whether `id` can be the `_id` of a document of `populations`."""
    match list(id.items()) if isinstance(id, Mapping) else ():
        case [("aggregateType", str()), ("expireAt", datetime() | None)]:
            return True
        case _:
            return False


def is_population(document: Mapping[str, Any]) -> bool:
    """Whether a document with such an `_id` is a count of aggregates."""
    return document.keys() == {"_id", "n"} and _is_number(document["n"])


def is_note(document: Mapping[str, Any]) -> bool:
    """Whether a document of `expirations` notes how far a type has expired."""
    return (
        document.keys() == {"_id", "through"} and isinstance(document["_id"], str) and _is_number(document["through"])
    )


def is_head(head: Mapping[str, Any]) -> bool:
    """Whether a document that is named like a head is a head."""
    return head.keys() >= HEAD_MEMBERS and sound(head).keys() == head.keys() - {"_id"}


def sound(head: Mapping[str, Any] | Head | None) -> dict[str, Any]:
    """The members of a head that have valid values, without its `_id`."""
    return {name: value for name, value in (head or {}).items() if _is_member(name, value)}


def _is_member(name: str, value: Any) -> bool:
    match name:
        case "version":
            return _is_number(value) and value > 0
        case "first" | "last":
            return _is_mark(value)
        case "deleted":
            return isinstance(value, bool)
        case "expireAt" | "firstExpireAt":
            return isinstance(value, datetime)
        case _:
            return False


def _is_mark(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() == MARK
        and _is_number(value["position"])
        and _is_time(value["timestamp"])
        and isinstance(value["type"], str)
    )


def _is_number(value: Any) -> bool:
    return type(value) in INTEGERS and -MOST < value < MOST


def _is_time(value: Any) -> bool:
    return type(value) in INTEGERS and int(value) in TIMES
