"""Versions in messages: those a publisher requires of an aggregate, and those it merely claims. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from eventscope.store.values.message import ANY_VERSION, EXPECTED_VERSION, NO_STREAM
from eventscope.subscriptions.messages.invalid_message import InvalidMessage

VersionUse = Literal["claim", "expect"]
"""What a `version` in a message is: what its publisher believes, or a condition for storing the event."""

MOST_DIGITS: Final = 18


def header(expected: Sequence[int | None]) -> dict[str, str]:
    """The header that requires these versions for the events of one message, in order; empty if none is required."""
    items = ["" if one is ANY_VERSION else "none" if one == NO_STREAM else str(one) for one in expected]
    text = ",".join(items).rstrip(",")
    return {EXPECTED_VERSION: text} if text else {}


def expected_versions(headers: Mapping[str, str], count: int) -> Sequence[int | None]:
    """The versions that the header requires, one for each of the `count` events of one message.

    If it names fewer, any version will do for the remaining events: a single one is required of the first event.
    InvalidMessage if it is not a list of versions, or names more than there are events.
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
    """The version that the aggregate must have for the event to get this one. InvalidMessage if it is not a version."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        reason = f"version is {str(version)[:40]} and not a number that this event could get: 1, 2, 3 …"
        raise InvalidMessage("INVALID_FIELD", reason, "version")
    return version - 1


def expectation(name: str, value: object) -> int:
    """The version that a header or an attribute of that name requires; 0 for `none`. Otherwise InvalidMessage."""
    if value == "none":
        return NO_STREAM
    text = str(value) if type(value) is int else value
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS):
        raise InvalidMessage("INVALID_FIELD", f"{name} is {str(value)[:40]!r} and neither a version nor none")
    return int(text)
