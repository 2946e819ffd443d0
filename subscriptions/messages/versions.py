"""Versions in messages: what a publisher expects of an aggregate, and what it merely claims. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from eventscope.store.values.message import ANY_VERSION, EXPECTED_VERSION, NO_STREAM
from eventscope.subscriptions.messages.invalid_message import InvalidMessage

VersionUse = Literal["claim", "expect"]
"""What a `version` in a message is: what its publisher believes, or the condition on which the event is stored."""

MOST_DIGITS: Final = 18


def header(expected: Sequence[int | None]) -> dict[str, str]:
    """The header that expects these versions of the events in one message, in their order; empty where none is."""
    items = ["" if one is ANY_VERSION else "none" if one == NO_STREAM else str(one) for one in expected]
    text = ",".join(items).rstrip(",")
    return {EXPECTED_VERSION: text} if text else {}


def expected_versions(headers: Mapping[str, str], count: int) -> Sequence[int | None]:
    """The versions that the header expects, one for each of so many events that came in one message.

    Where it names fewer, nothing is expected of the rest: one alone is the version before all of them. Refusal when
    it is no list of versions, or has more of them than there are events.
    """
    text = headers.get(EXPECTED_VERSION)
    if text is None:
        return (ANY_VERSION,) * count
    items = [item.strip() for item in text.split(",")]
    if len(items) > count:
        raise InvalidMessage(
            "INVALID_FIELD", f"{EXPECTED_VERSION} names {len(items)} versions, and the message has {count} events"
        )
    versions = [ANY_VERSION if len(items) > 1 and not item else expectation(EXPECTED_VERSION, item) for item in items]
    return [*versions, *(ANY_VERSION,) * (count - len(items))]


def before(version: object) -> int:
    """The version that the aggregate must have for the event to get this one. Refusal when it is none."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        reason = f"version is {str(version)[:40]} and not the 1, 2, 3 … that this event would be"
        raise InvalidMessage("INVALID_FIELD", reason, "version")
    return version - 1


def expectation(name: str, value: object) -> int:
    """The version that a header or an attribute of that name expects. Refusal when it is none."""
    if value == "none":
        return NO_STREAM
    text = str(value) if type(value) is int else value
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidMessage("INVALID_FIELD", f"{name} is {str(value)[:40]!r} and neither a version nor none")
    return int(text)
