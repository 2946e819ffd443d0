"""Cursors: opaque, short text that names a place in a list. No I/O.

A place among events is a position, so any cursor of an event resumes any list of events, past or live. A cursor of a
replay also carries the head that the replay was pinned to.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

from eventscope.errors import BadInput
from eventscope.store.documents import Event

Kind = Literal["e", "a", "r"]  # events, aggregates, rejected messages

SHAPE: Final = re.compile(r"([ear])([0-9a-f]{1,16})(?:-([0-9a-f]{1,16}))?", re.ASCII)
MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place, and the head that the list was pinned to, if it was."""

    place: int
    head: int | None = None


def encode(kind: Kind, place: int, head: int | None = None) -> str:
    """The cursor's text."""
    return f"{kind}{place:x}" if head is None else f"{kind}{place:x}-{head:x}"


def of_event(event: Event) -> str:
    """The cursor of an event, for which there is more haste than for others."""
    return f"e{event['_id']:x}"


def decode(kind: Kind, text: str, field: str) -> Cursor:
    """The inverse of `encode`; BadInput, naming the field, when the text is no cursor of ours for such a list."""
    found = SHAPE.fullmatch(text)
    if found is None or found[1] != kind or any(int(part, 16) > MOST for part in found.groups()[1:] if part):
        raise BadInput(f"{field}: {text[:40]!r} is not a cursor of this list; pass one that it gave", field)
    return Cursor(int(found[2], 16), None if found[3] is None else int(found[3], 16))
