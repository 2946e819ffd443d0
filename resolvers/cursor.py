"""Cursors: short, opaque texts for a position in one log. No I/O.

All lists of events, stored or live, are in the order of positions, so a cursor of an event resumes any of them. That of
an aggregate has the position of its first or last event, and that of a rejected message the number of the message. A
cursor of a replay also contains the head that the replay is pinned to. Each ends in the tag of its log, except those
from older versions.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from eventscope.errors import BadInput
from eventscope.store.values.documents import EventDocument

Kind = Literal["e", "a", "r"]  # events, aggregates, rejected messages

NUMBER: Final = "(0|[1-9a-f][0-9a-f]{0,15})"  # in hexadecimal, without leading zeros
SHAPE: Final = re.compile(rf"([ear]){NUMBER}(?:-{NUMBER})?(?:\.([0-9a-z]{{1,16}}))?", re.ASCII)
MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, with the head that the list is pinned to, if any, and the tag of the log, if the cursor has one."""

    position: int
    head: int | None = None
    tag: str | None = None
    argument: str = field(default="", compare=False)
    """The argument in which the caller passed it."""


def encode(kind: Kind, position: int, head: int | None = None, *, tag: str | None) -> str:
    """The cursor's text; without a tag, any log accepts it."""
    return f"{kind}{position:x}{'' if head is None else f'-{head:x}'}{suffix(tag)}"


def of_event(event: EventDocument, suffix: str) -> str:
    """The cursor of an event, built faster than by `encode`; `suffix` is `suffix(tag)`."""
    return f"e{event['_id']:x}{suffix}"


def suffix(tag: str | None) -> str:
    """The end of a cursor with that tag."""
    return "" if tag is None else f".{tag}"


@dataclass(frozen=True, slots=True)
class EventCursors:
    """A function that returns the cursor of an event; compiled code does the same with its `suffix`."""

    suffix: str

    def __call__(self, event: EventDocument) -> str:
        """The cursor of the event."""
        return of_event(event, self.suffix)


def of_events(tag: str | None) -> EventCursors:
    """A function that returns the cursor of an event."""
    return EventCursors(suffix(tag))


def decode(kind: Kind, text: str, field: str) -> Cursor:
    """The inverse of `encode`; BadInput, which names the field, when the text is not a cursor of such a list."""
    match = SHAPE.fullmatch(text)
    if match is not None and match[1] == kind:
        position, head = int(match[2], 16), None if match[3] is None else int(match[3], 16)
        if position <= (MOST if head is None else head) <= MOST:  # no replay goes beyond its end
            return Cursor(position, head, match[4], field)
    raise BadInput(f"{field}: {text[:40]!r} is not a cursor of this list; pass one that it returned", field)
