"""What comes out of any envelope: the members of a plain EventMessage, and all that has no place among them. No I/O."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any


class WrongEnvelope(Exception):
    """The message is not in the envelope that its subject is set to; the text says what it looks like."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A message taken out of its envelope.

    `members` are named as in a plain message, `extensions` is the rest, whatever names it has. `expected` is the
    version that the envelope says the aggregate must have before, a number or a text. `sources` tells people where
    members were found, and `problem` holds a code and a reason why the message cannot be taken after all. `claims`
    tells that a version is among the members of such an envelope, so that one which is missing is a claim left out.
    `beside_bytes` is the size of what came as headers or subject, and not in the bytes of the message.
    """

    members: dict[str, Any]
    extensions: dict[str, Any]
    expected: object = None
    sources: Mapping[str, str] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    claims: bool = False
    beside_bytes: int = 0


def free(name: str, members: Container[str]) -> str:
    """The name, with a number where there is a member of that name."""
    return next(one for one in chain((name,), (f"{name}{n}" for n in count(2))) if one not in members)
