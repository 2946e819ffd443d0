"""Messages on their way into the log: what came, what was understood of it, and why some are refused. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from eventscope.store.values.documents import EventDocument

# What an expectation of the aggregate's version may be besides a number
ANY_VERSION: Final = None
NO_STREAM: Final = 0

EXPECTED_VERSION: Final = "Eventscope-Expected-Version"
ENVELOPE: Final = "Eventscope-Envelope"  # says what the message is in, whatever its subject is set to
ATTRIBUTE: Final = "ce-"  # begins the headers, in any case, that are attributes of a CloudEvent
HEADERS: Final = "headers"  # the member of an event's metadata that headers of its message are kept as
RETRY: Final = "Eventscope-Retry"  # marks a rejected message that somebody wants to be looked at once more

MOST_RAW: Final = 12 * 1024 * 1024  # bytes of a rejected message: MongoDB keeps no document over 16 MiB


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as JetStream keeps it. `recorded_at` is JetStream's own timestamp in microseconds.

    `decisive` are the names, in lower case, of headers that are content here, and not of headers everywhere.
    """

    subject: str
    headers: Mapping[str, str]
    raw: bytes
    sequence: int
    recorded_at: int
    decisive: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def kept(self) -> bytes:
        """What a rejection keeps of its bytes."""
        return self.raw[:MOST_RAW]


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A message that is well formed: `fields` are those of `documents.EventDocument` that the message decides.

    `expected_version` is the version that the aggregate must have before (0: it must not exist; None: any).
    `claimed_version` is the version that the publisher believes this event to have; nothing depends on it.
    `has_timestamp` tells a timestamp that the message gave from JetStream's, and `keeps_headers` the `headers` in the
    metadata that NATS brought from those that the message gave. `claim` names the extension that a claimed version
    lies in if it is no integer; None where every extension is content. `beside_bytes` is about how much of the fields
    came as headers or subject, which several events that came together have in common.
    """

    arrival: Arrival
    fields: Mapping[str, Any]
    expected_version: int | None = ANY_VERSION
    has_timestamp: bool = False
    claimed_version: int | None = None
    keeps_headers: bool = False
    claim: str | None = field(default="version", compare=False)
    beside_bytes: int = field(default=0, compare=False)

    @property
    def id(self) -> str:
        """What tells this message from every other, however often it is sent."""
        return str(self.fields["messageId"])


@dataclass(frozen=True, slots=True)
class MessageGroup:
    """Several messages that came as one: they are stored whole and in this order, or refused whole."""

    arrival: Arrival
    messages: tuple[AcceptedMessage, ...]

    @property
    def id(self) -> str:
        """What tells this message from every other, however often it is sent: the id of its first event."""
        return self.messages[0].id


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that cannot be taken: `code` for programs, `reason` for people.

    `id` tells the message from every other, however often it is sent. `index` tells which of several that came together
    is to blame; `actual_version` what was expected wrongly.
    """

    arrival: Arrival
    code: str
    reason: str
    id: str
    index: int | None = None
    actual_version: int | None = None


ParsedMessage: TypeAlias = AcceptedMessage | MessageGroup | RejectedMessage


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A place in a JetStream stream: all up to `sequence` is done. `created` tells a stream from its successor.

    `recorded_at` is the timestamp of the message there, by which a reused sequence is found out.
    """

    stream: str
    created: str
    sequence: int
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Sequences of a stream, both ends included, that JetStream removed before they were read.

    `at` is when that was noticed, in microseconds.
    """

    stream: str
    first: int
    last: int
    at: int

    @property
    def count(self) -> int:
        """How many messages these are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages in the order of the stream, and the place reached when they are stored.

    `lost` are the sequences between the place before and this one that hold no message.
    """

    messages: tuple[ParsedMessage, ...]
    place: StreamPosition
    lost: tuple[Lost, ...] = ()

    @property
    def accepted(self) -> Iterator[AcceptedMessage]:
        """Those that may become events, one by one."""
        for message in self.messages:
            match message:
                case AcceptedMessage():
                    yield message
                case MessageGroup(messages=messages):
                    yield from messages


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one arrival: its events (the stored ones, where it came again), or why it was rejected.

    `together` tells that several events came as one, though there may be only one of them.
    """

    arrival: Arrival
    events: tuple[EventDocument, ...] = ()
    refusal: RejectedMessage | None = None
    together: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: `events` lie in the log from position `previous` + 1 on."""

    previous: int
    events: tuple[EventDocument, ...]
    rejected: int = 0
    duplicates: int = 0
    codes: Mapping[str, int] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()

    @property
    def head(self) -> int:
        """The last position after the batch."""
        return self.previous + len(self.events)
