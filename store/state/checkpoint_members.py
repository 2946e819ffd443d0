"""The members of the checkpoint's document: whether they are valid, what they say, and conversions of them. No I/O."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.mongo.driver import Document
from eventscope.store.values.documents import INTEGERS
from eventscope.store.values.message import Lost, StreamPosition

FORMAT: Final = 1
"""The format in which this version writes the log, and the latest one that it reads; see docs/upgrading.md."""
LONGEST_LEASE: Final = 60_000
"""The longest lease, in milliseconds, unless its `leaseFor` says more."""
NOW_TOLERANCE: Final = 10_000
"""Milliseconds by which `$$NOW` may differ between concurrent commands: each keeps the time of its start."""
IS_TAKEN: Final[Document] = {
    "$and": [
        {"$gt": ["$leaseUntil", "$$NOW"]},
        # a lease that ends later than possible was granted while MongoDB's clock was ahead: it counts as expired
        {"$lte": ["$leaseUntil", {"$add": ["$$NOW", NOW_TOLERANCE, {"$max": ["$leaseFor", LONGEST_LEASE]}]}]},
    ]
}
"""Whether somebody holds the lease: an expression on the checkpoint."""
IS_AT_WORK: Final[Document] = {"$and": [IS_TAKEN, {"$ne": ["$atWork", False]}]}
"""Whether the holder is also at work."""


def check(document: Document, names: Iterable[str] | None = None) -> None:
    """Raise Blocked when a member (or one of `names`) has an invalid value, or when a later version wrote the log."""
    format: Any = document.get("format", 0)
    if _is_number(format) and format > FORMAT:
        raise Blocked(
            f"the log has format {format}, which a later version of Eventscope wrote, and this version knows formats up"
            f" to {FORMAT} only: update Eventscope"
        )
    for name in MEMBERS if names is None else names:
        if name in document and not MEMBERS[name](document[name]):
            raise Blocked(
                f"the checkpoint in meta is damaged, Eventscope never wrote this value of {name}: restore meta and the"
                " other collections of the log from one backup, or rebuild it from what is left with `eventscope"
                " recount --accept-loss`"
            )


def damaged_names(document: Document) -> frozenset[str]:
    """The names of the members with invalid values."""
    return frozenset(name for name, is_sound in MEMBERS.items() if name in document and not is_sound(document[name]))


def _is_number(value: Any) -> bool:
    return type(value) in INTEGERS


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_time(value: Any) -> bool:
    return isinstance(value, datetime)


def _is_place(value: Any) -> bool:
    return value is None or _has(value, ("stream", "created"), ("sequence", "recordedAt"))


def _are_lost(value: Any) -> bool:
    return isinstance(value, list) and all(_has(one, ("stream",), ("first", "last", "at")) for one in value)


def _has(value: Any, texts: tuple[str, ...], numbers: tuple[str, ...]) -> bool:
    return (
        isinstance(value, Mapping)
        and all(isinstance(value.get(name), str) for name in texts)
        and all(_is_number(value.get(name)) for name in numbers)
    )


MEMBERS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "format": _is_number,
    "head": _is_number,
    "rejectedHead": _is_number,
    "place": _is_place,
    "sourceResets": _is_number,
    "holder": _is_text,
    "term": _is_number,
    "leaseUntil": _is_time,
    "leaseFor": _is_number,
    "collections": lambda value: isinstance(value, dict),
    "log": _is_text,
    "lost": _are_lost,
    "lostCount": _is_number,
    "readBefore": _is_number,
    "readBeforeAt": _is_number,
    "recounts": _is_number,
    "acceptedThrough": _is_number,
    "recordedAt": _is_number,
}
"""The check of each member, if it is present."""


def place(document: Document) -> StreamPosition | None:
    """The stream position in the checkpoint, if it has one."""
    position: Any = document.get("place")
    return (
        None
        if position is None
        else StreamPosition(position["stream"], position["created"], position["sequence"], position["recordedAt"])
    )


def of_place(place: StreamPosition | None) -> Document | None:
    """A stream position in the form that the checkpoint stores."""
    if place is None:
        return None
    return {
        "stream": place.stream,
        "created": place.created,
        "sequence": place.sequence,
        "recordedAt": place.recorded_at,
    }


def lost(range: Document) -> Lost:
    """A range of lost messages from the checkpoint."""
    return Lost(range["stream"], range["first"], range["last"], range["at"])


def of_lost(lost: Lost) -> Document:
    """A range of lost messages in the form that the checkpoint stores."""
    return {"stream": lost.stream, "first": lost.first, "last": lost.last, "at": lost.at}
