"""What an envelope contains: the members of a plain EventMessage, and everything else. No I/O."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any


class WrongEnvelope(Exception):
    """The message is not in the envelope that is set for its subject; the text says what it looks like."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A message without its envelope.

    `members` have the names of a plain message, `extensions` is the rest, under any names. `expected` is the version, a
    number or a text, that the envelope requires of the aggregate before the event. `sources` says where members were
    found, and `problem` is the code and reason of a rejection. `claims` says that such an envelope may have a version,
    so that a missing one counts as a claim that was left out. `beside_bytes` is the size of what came in headers or the
    subject, outside the bytes of the message.
    """

    members: dict[str, Any]
    extensions: dict[str, Any]
    expected: object = None
    sources: Mapping[str, str] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    claims: bool = False
    beside_bytes: int = 0


def free(name: str, members: Container[str]) -> str:
    """The name, with a number if there is a member of that name."""
    return next(one for one in chain((name,), (f"{name}{n}" for n in count(2))) if one not in members)
