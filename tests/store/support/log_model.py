"""The log in plain Python: what becomes of the messages of a stream if each is stored once, whatever happens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eventscope.store.values.message import (
    EXPECTED_VERSION,
    AcceptedMessage,
    MessageGroup,
    ParsedMessage,
    RejectedMessage,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of the log."""

    position: int
    id: str
    content: Any
    aggregate: tuple[str, str] | None
    version: int | None
    sequence: int
    claimed: int | None


@dataclass(slots=True)
class LogModel:
    """Events and rejections, as (sequence in the stream, code), in their order."""

    events: list[Entry] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    refused: set[tuple[str, bytes, str | None]] = field(default_factory=set)

    def take(self, message: ParsedMessage) -> None:
        """Take the next message of the stream; one that was rejected before stays rejected."""
        if _sent(message) in self.refused:
            return
        match message:
            case RejectedMessage(code=code):
                self._refuse(message, code)
            case AcceptedMessage():
                self._take(message, [message])
            case MessageGroup(messages=messages):
                self._take(message, messages)

    def _refuse(self, message: ParsedMessage, code: str) -> None:
        self.rejected.append((message.arrival.sequence, code))
        self.refused.add(_sent(message))

    def _take(self, whole: ParsedMessage, messages: Sequence[AcceptedMessage]) -> None:
        events = list(self.events)
        code = None
        for message in messages:
            code = code or _enter(events, message, whole.arrival.sequence)
        there = {event.id for event in self.events}
        known = sum(message.id in there for message in messages)  # and not just repeated within this message
        if code is None and 0 < known < len(messages):
            code = "ID_REUSED"  # some of them were stored already
        if code is None:
            self.events = events
        else:
            self._refuse(whole, code)


def _sent(message: ParsedMessage) -> tuple[str, bytes, str | None]:
    """What stays the same when a message is sent again."""
    return message.id, message.arrival.raw, message.arrival.headers.get(EXPECTED_VERSION)


def _enter(events: list[Entry], message: AcceptedMessage, sequence: int) -> str | None:
    """Add the event, or return why not; a known event is not added, and gives no reason."""
    fields = message.fields
    aggregate = (fields["aggregateType"], fields["aggregateId"]) if "aggregateId" in fields else None
    content = (fields["type"], fields.get("data"), aggregate)
    for event in events:
        if event.id == fields["messageId"]:
            return None if event.content == content else "ID_REUSED"
    version = sum(event.aggregate == aggregate for event in events)
    if aggregate and message.expected_version not in (None, version):
        return "VERSION_CONFLICT"
    own = version + 1 if aggregate else None
    claimed = None if message.claimed_version == own else message.claimed_version
    events.append(Entry(len(events) + 1, fields["messageId"], content, aggregate, own, sequence, claimed))
    return None
