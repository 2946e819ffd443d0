"""Messages as the ingester parses them, and an appender that stores them batch after batch."""

import uuid
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from eventscope.store.log import Log
from eventscope.store.state import lease
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values import moment
from eventscope.store.values.documents import plain
from eventscope.store.values.message import (
    ANY_VERSION,
    AcceptedMessage,
    Arrival,
    MessageBatch,
    MessageGroup,
    ParsedMessage,
    RejectedMessage,
    Stored,
    StreamPosition,
)
from eventscope.store.write.append import WRITE_SECONDS, append
from eventscope.store.write.cache import WriterCache
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.messages import versions

# far ahead, so that MongoDB's own TTL task never interferes with what these tests expire
NOON: Final = moment.from_text("2100-06-15T12:00:00Z")
FOREVER: Final = Retention({})

STREAM: Final = "TEST"
COLLECTIONS: Final = ("events", "aggregates", "rollups", "populations", "rejected", "meta")
CREATED: Final = "2100-01-01T00:00:00Z"


def event(
    type: str = "thing.happened",
    id: str | None = None,
    *,
    of: tuple[str, str] | None = None,
    at: int | None = None,
    recorded: int | None = None,
    expected: int | None = ANY_VERSION,
    claimed: int | None = None,
    **more: Any,
) -> AcceptedMessage:
    """A well-formed message about the aggregate `of`; without `at` it names no timestamp of its own.

    The appender gives it its place in the stream, and the current time as `recorded`.
    """
    fields: dict[str, Any] = {"type": type, "messageId": uuid.uuid4().hex if id is None else id, **more}
    if of is not None:
        fields["aggregateType"], fields["aggregateId"] = of
    if at is not None:
        fields["timestamp"] = at
    headers = versions.header([expected])
    raw = orjson.dumps(fields if claimed is None else fields | {"version": claimed})
    arrival = Arrival(f"events.{type}", headers, raw, 0, -1 if recorded is None else recorded)
    return AcceptedMessage(arrival, fields, expected, at is not None, claimed)


def message_group(*messages: AcceptedMessage) -> MessageGroup:
    """Several events that come as one message."""
    raw = b"[" + b",".join(message.arrival.raw for message in messages) + b"]"
    headers = versions.header([message.expected_version for message in messages])
    return MessageGroup(replace(messages[0].arrival, raw=raw, headers=headers), messages)


def rejected_message(
    raw: bytes, code: str = "INVALID_JSON", reason: str = "the message is not JSON"
) -> RejectedMessage:
    """A message that could not be parsed."""
    return RejectedMessage(
        Arrival("events.poison", {"Some-Header": "kept"}, raw, 0, -1), code, reason, uuid.uuid4().hex
    )


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: int = NOON

    def __call__(self) -> int:
        return self.now


@dataclass
class Appender:
    """Appends to one log as the holder of its lease."""

    log: Log
    at: LogCheckpoint
    retention: Retention = FOREVER
    sequence: int = 0

    @classmethod
    async def of(cls, log: Log, holder: str = "first", seconds: float = 600) -> "Appender":
        """The appender of the log, or an AssertionError when another one holds the lease."""
        at = await lease.acquire(log, holder, seconds)
        assert at is not None, f"the lease of {holder} is held by another"
        return cls(log, at)

    def batch(self, *messages: ParsedMessage) -> MessageBatch:
        """The messages as the next ones of the stream."""
        placed = tuple(self._placed(message) for message in messages)
        return MessageBatch(placed, StreamPosition(STREAM, CREATED, self.sequence, self.log.clock()))

    async def store(
        self, *messages: ParsedMessage, cache: WriterCache | None = None, seconds: float = WRITE_SECONDS
    ) -> Stored:
        """Append the messages as one batch."""
        batch = self.batch(*messages)
        stored, self.at = await append(self.log, self.retention, self.at, batch, cache=cache, seconds=seconds)
        return stored

    def _placed(self, message: ParsedMessage) -> ParsedMessage:
        self.sequence += 1
        now = message.arrival.recorded_at if message.arrival.recorded_at >= 0 else self.log.clock()
        arrival = replace(message.arrival, sequence=self.sequence, recorded_at=now)
        match message:
            case RejectedMessage():
                return replace(message, arrival=arrival)
            case AcceptedMessage():
                return _dated(message, arrival)
            case MessageGroup(messages=messages):
                return MessageGroup(arrival, tuple(_dated(one, arrival) for one in messages))


def _dated(message: AcceptedMessage, arrival: Arrival) -> AcceptedMessage:
    return replace(message, arrival=arrival, fields={"timestamp": arrival.recorded_at, **message.fields})


def text(value: object) -> bytes:
    """The value as JSON in canonical form, for comparing."""
    return orjson.dumps(value, default=plain, option=orjson.OPT_SORT_KEYS)


async def everything(log: Log) -> dict[str, list[dict[str, Any]]]:
    """Everything in the database."""
    return {name: await log.mongo.collection(name).find({}).sort("_id", 1).to_list(None) for name in COLLECTIONS}
