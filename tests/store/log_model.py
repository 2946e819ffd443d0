"""The log in plain Python: what becomes of the messages of a stream, each taken once, whatever happens on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eventscope.store.message import Accepted, Message, Refused, Together


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of the log."""

    position: int
    id: str
    content: Any
    aggregate: tuple[str, str] | None
    version: int | None
    sequence: int


@dataclass(slots=True)
class LogModel:
    """Events and rejections, as (sequence in the stream, code), in their order."""

    events: list[Entry] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)
    refused: set[tuple[str, bytes]] = field(default_factory=set)

    def take(self, message: Message) -> None:
        """The next message of the stream; one that was refused before is refused for good."""
        if (message.id, message.arrival.raw) in self.refused:
            return
        match message:
            case Refused(code=code):
                self._refuse(message, code)
            case Accepted():
                self._take(message, [message])
            case Together(messages=messages):
                self._take(message, messages)

    def _refuse(self, message: Message, code: str) -> None:
        self.rejected.append((message.arrival.sequence, code))
        self.refused.add((message.id, message.arrival.raw))

    def _take(self, whole: Message, messages: Sequence[Accepted]) -> None:
        events = list(self.events)
        code = None
        for message in messages:
            code = code or _enter(events, message, whole.arrival.sequence)
        new = len(events) - len(self.events)
        if code is None and 0 < new < len(messages):
            code = "ID_REUSED"  # a part of them was there already
        if code is None:
            self.events = events
        else:
            self._refuse(whole, code)


def _enter(events: list[Entry], message: Accepted, sequence: int) -> str | None:
    """Add the event, or tell why not; one that is known is not added, and that is no reason."""
    fields = message.fields
    aggregate = (fields["aggregateType"], fields["aggregateId"]) if "aggregateId" in fields else None
    content = (fields["type"], fields.get("data"), aggregate)
    for event in events:
        if event.id == fields["messageId"]:
            return None if event.content == content else "ID_REUSED"
    version = sum(event.aggregate == aggregate for event in events)
    if aggregate and message.expected_version not in (None, version):
        return "VERSION_CONFLICT"
    place = len(events) + 1
    events.append(Entry(place, fields["messageId"], content, aggregate, version + 1 if aggregate else None, sequence))
    return None
