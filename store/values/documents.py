"""The documents of the log, as they lie in MongoDB and travel in live batches."""

from datetime import datetime
from typing import Any, Final, NotRequired, TypedDict

from bson import DBRef, Int64

INTEGERS: Final = frozenset({int, Int64})  # what the driver reads integers as


class MessageSource(TypedDict):
    """The place in JetStream that a message came from. `created` tells a stream from its successor of one name."""

    stream: str
    created: str
    sequence: int


class EventDocument(TypedDict):
    """One stored event. `_id` is its position; times are microseconds; `expireAt` (UTC, naive) is absent if it is kept.

    `version` is the log's own; `claimedVersion` is what the publisher took it for, present where it is another.
    `extensions` holds members of the message that have no field of their own, so that nothing sent is lost.
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
    """One event of an aggregate, as its head remembers it."""

    position: int
    timestamp: int
    type: str


class HeadKey(TypedDict):
    """What names an aggregate."""

    type: str
    id: str


class Head(TypedDict):
    """An aggregate's newest state of affairs. It outlives its events, so versions never restart.

    `expireAt` is when its last event to expire does (absent: one is kept for ever), `firstExpireAt` when the first one
    did or will (absent: none will): before that hour every answer about the aggregate is in this document alone.
    """

    _id: HeadKey
    version: int
    first: Mark
    last: Mark
    deleted: bool
    firstExpireAt: NotRequired[datetime]
    expireAt: NotRequired[datetime]


class RejectionDocument(TypedDict):
    """A message that could not be taken, with all that is needed to try it again, and to answer it again.

    `expireAt` (UTC, naive) is absent if it is kept.
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
    """What JSON should be written of a value that BSON has a type of its own for; TypeError when there is none.

    The driver reads `{"$ref": …, "$id": …}`, which anyone may send, as a reference.
    """
    if isinstance(value, DBRef):
        return dict(value.as_doc())
    raise TypeError(type(value).__name__)
