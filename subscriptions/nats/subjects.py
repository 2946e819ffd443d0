"""Subjects: how the type of an event and its NATS subject follow from each other. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from eventscope.errors import BadInput
from eventscope.subscriptions.messages.parse import MOST_TEXT, TYPE

T = TypeVar("T")

ONE: Final = "*"
REST: Final = ">"
# the server closes the connection of a client whose command line is longer than 4,096 bytes, subject and inbox included
MOST_BYTES: Final = 2048


def subject_of(event_type: str, subjects: Sequence[str]) -> str:
    """The subject to publish an event of this type on: `events.>` and `user.created` make `events.user.created`.

    If no pattern with a wildcard fits, it is one of those without: the type itself, or else the first. BadInput when
    the type is invalid or no subject fits it.
    """
    if len(event_type) > MOST_TEXT or not TYPE.fullmatch(event_type):
        raise BadInput(f"the type {event_type[:60]!r} is not words joined by dots, as a NATS subject would be", "type")
    for pattern in subjects:
        if prefix_of(pattern) is not None:
            subject = f"{prefix_of(pattern)}{event_type}"
            if covers(pattern, subject) and type_of(subject, subjects) == event_type:
                return _short(subject)
    literals = [pattern for pattern in subjects if prefix_of(pattern) is None]
    if not literals:
        raise BadInput(f"an event of the type {event_type!r} fits none of the subjects {', '.join(subjects)}", "type")
    return event_type if event_type in literals else literals[0]


def type_of(subject: str, subjects: Sequence[str]) -> str | None:
    """The type that a subject names: the part from its pattern's first wildcard on; None if that has none."""
    for pattern in subjects:
        if covers(pattern, subject):
            prefix = prefix_of(pattern)
            return None if prefix is None else subject[len(prefix) :]
    return None


def first_match(subject: str, by_pattern: Mapping[str, T]) -> T | None:
    """The value of the first pattern that covers the subject; None if none does."""
    return next((one for pattern, one in by_pattern.items() if covers(pattern, subject)), None)


def prefix_of(pattern: str) -> str | None:
    """The part of a pattern before its first wildcard, including the dot; None if there is no wildcard."""
    words = pattern.split(".")
    for index, word in enumerate(words):
        if word in (ONE, REST):
            return "".join(f"{before}." for before in words[:index])
    return None


def covers(wide: str, narrow: str) -> bool:
    """Whether the pattern `wide` matches every subject that `narrow`, a subject or a pattern, matches."""
    wider, narrower = wide.split("."), narrow.split(".")
    for index, word in enumerate(wider):
        if word == REST:
            return len(narrower) > index
        if index >= len(narrower) or narrower[index] == REST or word not in (ONE, narrower[index]):
            return False
    return len(wider) == len(narrower)


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both of these, subjects or patterns."""
    words, others = one.split("."), other.split(".")
    for word, opposite in zip(words, others, strict=False):
        if REST in (word, opposite):
            return True
        if word != opposite and ONE not in (word, opposite):
            return False
    return len(words) == len(others)


def merge_patterns(present: Sequence[str], new: Sequence[str]) -> list[str]:
    """The fewest patterns that match all that `present` or `new` match, those of `present` first."""
    merged: list[str] = []
    for pattern in [*present, *new]:
        if not any(covers(other, pattern) for other in merged):
            merged = [other for other in merged if not covers(pattern, other)] + [pattern]
    return merged


def _short(subject: str) -> str:
    if len(subject.encode()) > MOST_BYTES:
        raise BadInput(
            f"the subject {subject[:60]!r}… has over {MOST_BYTES} bytes; give the event a shorter type", "type"
        )
    return subject
