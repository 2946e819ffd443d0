"""Services of a chaos run: they publish at a steady rate, and repeat what was not acknowledged or answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError

from eventscope.errors import CannotStart, Rejected, Unavailable
from eventscope.subscriptions.messages.headers import REPLY_TO
from eventscope.subscriptions.nats import stream
from eventscope.subscriptions.publish import outcome
from eventscope.subscriptions.publish.confirmed import ConfirmedPublisher, open_confirmed
from tests.chaos.ledger import Ledger, Sent
from tests.chaos.messages import Author

ACK_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.1
MANY: Final = 1_000_000  # ConfirmedPublisher does not report how often it sends
LONGEST_BACKLOG: Final = 1.0  # seconds of messages to catch up on after an outage, at most


@dataclass(slots=True)
class Pace:
    """Allows `rate` turns per second, while `going` is set."""

    rate: float
    going: asyncio.Event
    _next: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def turn(self) -> None:
        """Wait for the next turn."""
        await self.going.wait()
        now = asyncio.get_running_loop().time()
        self._next = max(self._next + 1 / self.rate, now - LONGEST_BACKLOG)
        await asyncio.sleep(max(0.0, self._next - now))


class Service:
    """Publishes messages one by one, each until JetStream has acknowledged it, and records the ingester's replies.

    A connection that fails is closed for good, so that each acknowledgement belongs to one start of NATS, and no
    message that the client had buffered is sent after its successors.
    """

    def __init__(self, url: str, name: str, author: Author, ledger: Ledger) -> None:
        self._url = url
        self._stream = name
        self._author = author
        self._ledger = ledger
        self._client: Client | None = None
        self._inbox = ""

    @property
    def connected(self) -> bool:
        """Whether it has a connection, over which replies may still arrive."""
        return self._client is not None and self._client.is_connected

    async def run(self, pace: Pace, stop: asyncio.Event) -> None:
        """Publish until `stop` is set; on return the last message is acknowledged."""
        try:
            while not stop.is_set():
                await self._deliver(self._author.next())
                await pace.turn()
            await self._hang_up()
        finally:
            if self._client is not None:
                await stream.close(self._client)

    async def _deliver(self, one: Sent) -> None:
        while True:
            try:
                client = await self._connection()
                # a copy, because nats-py changes the headers
                headers = one.headers | {REPLY_TO: f"{self._inbox}.{one.token}"}
                one.sendings += 1
                ack = await client.jetstream().publish(
                    one.subject, one.raw, timeout=ACK_SECONDS, stream=self._stream, headers=headers
                )
            except APIError:  # mostly a full stream
                self._ledger.refusals += 1
            except (nats.errors.Error, CannotStart, OSError):  # asyncio's TimeoutError is an OSError
                await self._hang_up()
            else:
                server = str(client._server_info["server_id"])
                return self._ledger.acknowledge(one, server, ack.seq, bool(ack.duplicate))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connection(self) -> Client:
        if self._client is None:
            client = await stream.connect(self._url, self._author.name, seconds=1.0, lasting=False)
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._receive)
            self._client = client
        return self._client

    async def _hang_up(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await stream.close(client)

    async def _receive(self, message: Msg) -> None:
        answer = outcome.decode(message.data)
        one = self._ledger.sent[int(message.subject.rpartition(".")[2])]
        one.answers.append(answer)
        note_versions(self._author, one, answer)


def note_versions(author: Author, one: Sent, answer: list[outcome.StoredEvent] | outcome.PublishRejection) -> None:
    """Remember the versions that the answer reports."""
    if isinstance(answer, outcome.PublishRejection):
        return
    content = orjson.loads(one.raw)
    for member, event in zip(content if isinstance(content, list) else [content], answer, strict=True):
        author.versions[member["aggregateId"]] = event.version or 0


class ConfirmedService:
    """Publishes like the mutation: over one lasting connection, each message until its outcome is known."""

    def __init__(self, publisher: ConfirmedPublisher, author: Author) -> None:
        self._publisher = publisher
        self._author = author

    async def run(self, pace: Pace, stop: asyncio.Event) -> None:
        """Publish until `stop` is set; on return the last message has an outcome."""
        while not stop.is_set():
            await self._deliver(self._author.next())
            await pace.turn()

    async def _deliver(self, one: Sent) -> None:
        content = orjson.loads(one.raw)
        one.sendings += MANY
        while True:
            try:
                together = isinstance(content, list)
                expected = [] if one.expected is None else [one.expected]
                events = content if together else [content]
                stored = await self._publisher.publish(events, together=together, expected=expected)
            except Rejected as error:
                return one.answers.append(outcome.PublishRejection(error.rejection, str(error)))
            except Unavailable:
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                one.answers.append(stored)
                return note_versions(self._author, one, stored)


@asynccontextmanager
async def confirmed_service(url: str, name: str, author: Author) -> AsyncIterator[ConfirmedService]:
    """A confirmed service, for the length of the block."""
    client = await stream.connect(url, author.name)
    try:
        async with open_confirmed(client, name, [f"{author.prefix}.>"]) as publisher:
            yield ConfirmedService(publisher, author)
    finally:
        await stream.close(client)
