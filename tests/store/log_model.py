"""The log in plain Python: what becomes of the messages of a stream, each taken once, whatever happens on the way."""

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

    def take(self, message: Message) -> None:
        """The next message of the stream."""
        match message:
            case Refused(arrival, code):
                self.rejected.append((arrival.sequence, code))
            case Accepted(arrival):
                self._take([message], arrival.sequence)
            case Together(arrival, messages):
                self._take(messages, arrival.sequence)

    def _take(self, messages: list[Accepted] | tuple[Accepted, ...], sequence: int) -> None:
        events = list(self.events)
        code = None
        for message in messages:
            code = code or _enter(events, message, sequence)
        new = len(events) - len(self.events)
        if code is None and 0 < new < len(messages):
            code = "ID_REUSED"  # a part of them was there already
        if code is None:
            self.events = events
        else:
            self.rejected.append((sequence, code))


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
