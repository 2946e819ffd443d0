"""The ledger of a run: every message that was sent, and each word that came back about it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from eventscope.subscriptions.publish.outcome import PublishRejection, StoredEvent
from tests.chaos.sent_messages import Published


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """JetStream's word that it has a message: which start of the server gave it, and for which sequence."""

    server: str
    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Loss:
    """What JetStream lost of what these starts of the server acknowledged: all beyond that sequence, up to `last`.

    None for any: a later start may call a message a duplicate of one that was dropped before.
    """

    servers: frozenset[str] | None
    beyond: int
    last: int | None = None

    def covers(self, acknowledgement: Acknowledgement) -> bool:
        """Whether the acknowledged message may be gone."""
        within = self.last is None or acknowledgement.sequence <= self.last
        there = self.servers is None or acknowledgement.server in self.servers
        return there and acknowledgement.sequence > self.beyond and within


@dataclass(slots=True)
class Sent:
    """One message on its way, and what became known of it. The bytes stay the same however often it is sent."""

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

    `servers` are the starts of NATS that acknowledged something, in their order; `refusals` counts how often a full
    stream took nothing.
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
        """A new message."""
        one = Sent(len(self.sent), sender, number, subject, raw, headers, expected, set(refusable))
        self.sent.append(one)
        return one

    def acknowledge(self, one: Sent, server: str, sequence: int, duplicate: bool) -> None:
        """JetStream has it."""
        if server not in self.servers:
            self.servers.append(server)
        self.acknowledged += 1
        one.acknowledgements.append(Acknowledgement(server, sequence, duplicate))

    def published(self) -> list[Published]:
        """What the checker is to compare with the log."""
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
    # a duplicate speaks of an arrival whose own acknowledgement may not have come
    return max(sum(not ack.duplicate for ack in acknowledgements), min(1, len(acknowledgements)))
