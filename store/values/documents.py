"""The documents of the log, in the form that MongoDB stores and live batches carry."""

from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict

from bson import DBRef, Int64

INTEGERS: Final = frozenset({int, Int64})  # the types that the driver decodes integers to


class MessageSource(TypedDict):
    """Where a message came from in JetStream. `created` distinguishes a stream from a later one of the same name.

    `recordedAt` is JetStream's time of the message, present only if the log recorded the event with another.
    """

    stream: str
    created: str
    sequence: int
    recordedAt: NotRequired[int]


class EventDocument(TypedDict):
    """One stored event. `_id` is its position; times are microseconds since 1970.

    `recordedAt` never falls along positions. `version` is counted by the log; `claimedVersion` is the publisher's,
    present only if it differs. `extensions` holds the members of the message that have no field of their own, so
    that nothing is lost. `expireAt` (naive, UTC) is absent if the event is kept for ever.
    """

    _id: int
    messageId: str
    type: str
    timestamp: int
    recordedAt: int
    aggregateType: NotRequired[str]
    aggregateId: NotRequired[str]
    version: NotRequired[int]
    claimedVersion: NotRequired[int]
    correlationId: NotRequired[str]
    causationId: NotRequired[str]
    userId: NotRequired[str]
    data: NotRequired[Any]
    metadata: NotRequired[Any]
    extensions: NotRequired[dict[str, Any]]
    source: MessageSource
    expireAt: NotRequired[datetime]


class Mark(TypedDict):
    """One event of an aggregate, as its head records it."""

    position: int
    timestamp: int
    type: str


class HeadKey(TypedDict):
    """The name of an aggregate."""

    type: str
    id: str


class Head(TypedDict):
    """The state of an aggregate after its last event. It outlives the events, so versions never start again.

    `expireAt` is when the last of its events expires (absent if one is kept for ever). `firstExpireAt` is when the
    first one did or will (absent if none will): before that, this document alone answers every query about the
    aggregate.
    """

    _id: HeadKey
    version: int
    first: Mark
    last: Mark
    deleted: bool
    firstExpireAt: NotRequired[datetime]
    expireAt: NotRequired[datetime]


class RejectionDocument(TypedDict):
    """A rejected message, with everything that is needed to retry it, and to give the same answer again.

    `expireAt` (naive, UTC) is absent if it is kept for ever.
    """

    _id: int
    messageId: str
    code: str
    reason: str
    subject: str
    headers: dict[str, str | list[str]]
    raw: bytes
    fingerprint: bytes
    recordedAt: int
    source: MessageSource
    index: NotRequired[int]
    actualVersion: NotRequired[int]
    expireAt: NotRequired[datetime]


def plain(value: object) -> object:
    """The JSON form of a value that the driver decodes to a type of its own; TypeError for other types.

    The driver decodes `{"$ref": …, "$id": …}`, which anyone may send, as a DBRef.
    """
    if isinstance(value, DBRef):
        return dict(value.as_doc())
    raise TypeError(type(value).__name__)
