"""Cursors: opaque, short text that names a place in a list of one log. No I/O.

A place among events is a position, so any cursor of an event resumes any list of events, past or live. A cursor of a
replay also carries the head that the replay was pinned to. Each ends in the tag of its log, but for those that older
versions gave.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from eventscope.errors import BadInput
from eventscope.store.values.documents import EventDocument

Kind = Literal["e", "a", "r"]  # events, aggregates, rejected messages

NUMBER: Final = "(0|[1-9a-f][0-9a-f]{0,15})"  # as it is written, without zeros before it
SHAPE: Final = re.compile(rf"([ear]){NUMBER}(?:-{NUMBER})?(?:\.([0-9a-z]{{1,16}}))?", re.ASCII)
MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place, the head that the list was pinned to, if it was, and the tag of the log, if it has one."""

    place: int
    head: int | None = None
    tag: str | None = None
    argument: str = field(default="", compare=False)
    """What the caller gave it as."""


def encode(kind: Kind, place: int, head: int | None = None, *, tag: str | None) -> str:
    """The cursor's text; without a tag, it is taken by any log."""
    return f"{kind}{place:x}{'' if head is None else f'-{head:x}'}{suffix(tag)}"


def of_event(event: EventDocument, suffix: str) -> str:
    """The cursor of an event, for which there is more haste than for others; the suffix is `suffix(tag)`."""
    return f"e{event['_id']:x}{suffix}"


def suffix(tag: str | None) -> str:
    """What the tag adds to a cursor."""
    return "" if tag is None else f".{tag}"


def of_events(tag: str | None) -> Callable[[EventDocument], str]:
    """What gives events their cursors."""
    end = suffix(tag)
    return lambda event: f"e{event['_id']:x}{end}"


def decode(kind: Kind, text: str, field: str) -> Cursor:
    """The inverse of `encode`; BadInput, naming the field, when the text is no cursor of ours for such a list."""
    found = SHAPE.fullmatch(text)
    if found is not None and found[1] == kind:
        place, head = int(found[2], 16), None if found[3] is None else int(found[3], 16)
        if place <= (MOST if head is None else head) <= MOST:  # no replay gives a place behind its end
            return Cursor(place, head, found[4], field)
    raise BadInput(f"{field}: {text[:40]!r} is not a cursor of this list; pass one that it gave", field)
