"""Messages on their way into the log: as received, as parsed, and what became of them. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from eventscope.store.values.documents import EventDocument

# the expected versions of an aggregate that are not numbers
ANY_VERSION: Final = None
NO_STREAM: Final = 0

EXPECTED_VERSION: Final = "Eventscope-Expected-Version"
ENVELOPE: Final = "Eventscope-Envelope"  # names the envelope of the message, and overrides the setting for its subject
ATTRIBUTE: Final = "ce-"  # the prefix, in any case, of headers that are attributes of a CloudEvent
HEADERS: Final = "headers"  # the member of an event's metadata that holds headers of its message
RETRY: Final = "Eventscope-Retry"  # marks a rejected message that somebody retries

MOST_RAW: Final = 12 * 1024 * 1024  # bytes kept of a rejected message: MongoDB stores no document over 16 MiB


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as JetStream stores it. `recorded_at` is JetStream's own timestamp in microseconds.

    `decisive` holds the names, in lower case, of headers that are content by this stream's settings.
    """

    subject: str
    headers: Mapping[str, str]
    raw: bytes
    sequence: int
    recorded_at: int
    decisive: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def kept_bytes(self) -> bytes:
        """The bytes that a rejection keeps."""
        return self.raw[:MOST_RAW]


@dataclass(frozen=True, slots=True)
class AcceptedMessage:
    """A well-formed message. `fields` are the members of `documents.EventDocument` that the message decides.

    `expected_version` is the version that the aggregate must have before the event (0: it must not exist; None: any).
    `claimed_version` is the version that the publisher believes this event to have; nothing depends on it.
    `has_timestamp` is False if the timestamp is JetStream's; `keeps_headers` is True if the `headers` in the metadata
    are those of NATS, and not the message's own. `claim` names the extension with the claimed version if that is not an
    integer; None if every extension is content. `beside_bytes` says roughly how many bytes of the fields came from
    headers or subject, which the events of a group share.
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
        """The id of the message, the same however often it is sent."""
        return str(self.fields["messageId"])


@dataclass(frozen=True, slots=True)
class MessageGroup:
    """Several events that came as one message: all are stored, in this order, or all are rejected."""

    arrival: Arrival
    messages: tuple[AcceptedMessage, ...]

    @property
    def id(self) -> str:
        """The id of the message, the same however often it is sent: that of its first event."""
        return self.messages[0].id


@dataclass(frozen=True, slots=True)
class RejectedMessage:
    """A message that cannot be stored: `code` for programs, `reason` for people.

    `id` is the same however often the message is sent. `index` is the event at fault in a group; `actual_version` is
    the aggregate's version if another one was expected.
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
    """A position in a JetStream stream: everything up to `sequence` is stored.

    `created` distinguishes the stream from a later one of the same name. `recorded_at` is the timestamp of the message
    there, which reveals a reused sequence.
    """

    stream: str
    created: str
    sequence: int
    recorded_at: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Sequences of a stream, both ends included, whose messages JetStream removed before they were read.

    `at` is when this was noticed, in microseconds.
    """

    stream: str
    first: int
    last: int
    at: int

    @property
    def count(self) -> int:
        """How many sequences these are."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """Messages in the order of the stream. Once they are stored, the stream is in the log up to `stream_position`.

    `lost` are the sequences since the former stream position that have no message.
    """

    messages: tuple[ParsedMessage, ...]
    stream_position: StreamPosition
    lost: tuple[Lost, ...] = ()

    @property
    def accepted(self) -> Iterator[AcceptedMessage]:
        """The messages that may become events, those of groups one by one."""
        for message in self.messages:
            match message:
                case AcceptedMessage():
                    yield message
                case MessageGroup(messages=messages):
                    yield from messages


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message: its events (the stored ones, if it is a duplicate), or its rejection.

    `together` is True if it was a group, even of one event.
    """

    arrival: Arrival
    events: tuple[EventDocument, ...] = ()
    rejection: RejectedMessage | None = None
    together: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a batch: its `events` start at position `previous` + 1."""

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
