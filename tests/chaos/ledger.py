"""The ledger of a run: every message that was sent, its acknowledgements and its replies."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from tests.chaos.sent_messages import Published


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """JetStream's acknowledgement of a message: by which start of the server, and for which sequence."""

    server: str
    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """Sequences after `beyond`, through `last`, that these starts of the server acknowledged and JetStream lost.

    `servers` is None for any start: a later one may call a message a duplicate of one that was dropped before.
    """

    servers: frozenset[str] | None
    beyond: int
    last: int | None = None

    def covers(self, acknowledgement: Acknowledgement) -> bool:
        """Whether the acknowledged message may be lost."""
        within = self.last is None or acknowledgement.sequence <= self.last
        there = self.servers is None or acknowledgement.server in self.servers
        return there and acknowledgement.sequence > self.beyond and within


@dataclass(slots=True)
class Sent:
    """A message, and what is known of its fate. Its bytes stay the same however often it is sent."""

    token: int
    sender: str
    number: int
    subject: str
    raw: bytes
    headers: dict[str, str]
    expected: int | None = None
    refusable: set[str] = field(default_factory=set)
    sendings: int = 0
    acknowledgements: list[Acknowledgement] = field(default_factory=list)
    answers: list[list[StoredEvent] | PublishRejection] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """All that publishers know.

    `servers` are the starts of NATS that acknowledged something, in order; `refusals` counts how often a full stream
    refused a message.
    """

    sent: list[Sent] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    servers: list[str] = field(default_factory=list)
    acknowledged: int = 0
    refusals: int = 0

    def enter(
        self,
        sender: str,
        number: int,
        subject: str,
        raw: bytes,
        headers: dict[str, str],
        expected: int | None,
        refusable: Iterable[str],
    ) -> Sent:
        """Record a new message."""
        one = Sent(len(self.sent), sender, number, subject, raw, headers, expected, set(refusable))
        self.sent.append(one)
        return one

    def acknowledge(self, one: Sent, server: str, sequence: int, duplicate: bool) -> None:
        """Record that JetStream acknowledged the message."""
        if server not in self.servers:
            self.servers.append(server)
        self.acknowledged += 1
        one.acknowledgements.append(Acknowledgement(server, sequence, duplicate))

    def published(self) -> list[Published]:
        """The messages as the checker compares them with the log."""
        return [self._published(one) for one in self.sent]

    def _published(self, one: Sent) -> Published:
        lost = [ack for ack in one.acknowledgements if any(loss.covers(ack) for loss in self.losses)]
        safe = [ack for ack in one.acknowledgements if ack not in lost]
        return Published(
            sender=one.sender,
            number=one.number,
            raw=one.raw,
            sendings=one.sendings,
            certain=max(_arrivals(safe), min(1, len(one.answers))),
            doubtful=_arrivals(lost),
            refusable=frozenset(one.refusable),
            expected=one.expected,
            answers=tuple(one.answers),
        )


def _arrivals(acknowledgements: list[Acknowledgement]) -> int:
    # a duplicate proves an arrival whose own acknowledgement may be missing
    return max(sum(not ack.duplicate for ack in acknowledgements), min(1, len(acknowledgements)))
