"""Ids that no two objects of the API share, since some clients cache objects by the id alone. No I/O.

The id of an event is its message id. All other ids begin with their type, and a message id that happens to begin like
one of these gets the prefix `event:`.
"""

from collections.abc import Mapping
from typing import Any, Final

EVENT: Final = "event:"
AGGREGATE: Final = "aggregate:"
EVENT_TYPE: Final = "type:"
REJECTED: Final = "rejected:"
LOG: Final = "log:"
RESERVED: Final = (EVENT, AGGREGATE, EVENT_TYPE, REJECTED, LOG)


def of_event(event: Mapping[str, Any]) -> str:
    """The id of the event with that document."""
    id: str = event["messageId"]
    # most message ids have no colon, and looking for one is faster
    return EVENT + id if ":" in id and id.startswith(RESERVED) else id


def message_id(id: str) -> str:
    """The message id of the event with that id; a message id itself works, too, unless it is another event's id."""
    rest = id.removeprefix(EVENT)
    return rest if rest.startswith(RESERVED) else id


def of_aggregate(type: str, id: str) -> str:
    """The id of the aggregate of that type and `aggregateId`: slashes are escaped in the type alone."""
    return f"{AGGREGATE}{_escaped(type)}/{id}"


def aggregate(id: str) -> tuple[str, str] | None:
    """The type and `aggregateId` of the aggregate with that id; None if it is not an aggregate's."""
    escaped, slash, own = id.removeprefix(AGGREGATE).partition("/")
    type = escaped.replace("%2F", "/").replace("%25", "%")
    return (type, own) if slash and of_aggregate(type, own) == id else None


def of_event_type(type: str) -> str:
    """The id of an event type."""
    return EVENT_TYPE + type


def event_type(id: str) -> str | None:
    """The event type with that id; None if it is not an event type's."""
    return id.removeprefix(EVENT_TYPE) if id.startswith(EVENT_TYPE) else None


def of_rejected(number: int) -> str:
    """The id of the rejected message with that number."""
    return f"{REJECTED}{number}"


def rejected(id: str) -> int | None:
    """The number of the rejected message with that id; None if it is not a rejected message's."""
    digits = id.removeprefix(REJECTED)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    number = int(digits)
    return number if number < 2**63 and of_rejected(number) == id else None


def of_log(identity: str | None) -> str:
    """The id of the log with this identity, which is None until something has been written to the log."""
    return LOG + (identity or "")


def _escaped(type: str) -> str:
    return type.replace("%", "%25").replace("/", "%2F")
