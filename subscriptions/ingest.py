"""The ingester: reads the stream from the checkpoint, stores batch after batch, and tells the live feed.

It may be killed at any moment: what is not stored is read again, and what is stored already is known by its messageId.
Only the holder of the lease reads; the others stand by.
"""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventscope.errors import Blocked, CannotStart, LeaseLost, QuestionTimedOut, Unavailable, Unstorable
from eventscope.store import expiry
from eventscope.store.log import Log
from eventscope.store.message import Arrival, Batch, Message, Place, Refused, Together
from eventscope.store.moment import HOUR
from eventscope.store.retention import Retention
from eventscope.store.writer import Writer, writing
from eventscope.subscriptions import live, reply
from eventscope.subscriptions.envelope import Envelope
from eventscope.subscriptions.observer import UNOBSERVED, IngestObserver
from eventscope.subscriptions.origin import start_of
from eventscope.subscriptions.reader import reading
from eventscope.subscriptions.reading import read
from eventscope.subscriptions.subjects import meant, type_of
from eventscope.subscriptions.trimming import bound_rejected, trim
from eventscope.subscriptions.versions import VersionUse

TRIM_SECONDS: Final = 5.0  # a full stream refuses its publishers until then
REMEMBERED: Final = 10_000  # subjects whose meaning is remembered
# what ends by itself, or when somebody mends it
TROUBLES: Final = (Unavailable, QuestionTimedOut, LeaseLost, Blocked, CannotStart, nats.errors.Error, OSError)
BACKOFF: Final = (0.2, 0.4, 0.8, 1.6, 3.0)

logger = logging.getLogger(__name__)


def new_holder() -> str:
    """A name for this ingester by which people can find it, and that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


@dataclass(slots=True)
class Ingester:
    """One ingester on one stream. `run` ends only when it is cancelled."""

    log: Log
    client: Client
    js: JetStreamContext
    stream: str
    subjects: Sequence[str]
    retention: Retention
    batch: int
    lease_seconds: float
    envelopes: Mapping[str, Envelope] = field(default_factory=dict)
    message_version: Mapping[str, VersionUse] = field(default_factory=dict)
    keep_hours: float = 24.0
    observer: IngestObserver = UNOBSERVED
    rejected_bytes: int = 0
    """How many bytes of rejected messages are kept; 0 for any number."""
    holder: str = field(default_factory=new_holder)
    behind: bool = False
    """Whether there was a whole batch to take the last time it looked."""
    _tidied: int = 0
    _bounded_at: int = -1  # the last rejection when all of them had room
    _most: int = field(init=False)  # messages in a batch, fewer after a failure: MongoDB may be too slow for more
    _meanings: dict[str, tuple[str | None, Envelope | None, VersionUse]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with whole batches."""
        self._most = self.batch

    async def run(self) -> None:
        """Ingest until cancelled, whatever goes away and comes back."""
        failures = 0
        while True:
            _end_if_cancelled()
            try:
                async with writing(self.log, self.retention, self.holder, self.lease_seconds) as writer:
                    if writer is not None:
                        failures = 0
                        logger.info("ingesting from position %d as %s", writer.at.head, self.holder)
                        await self._ingest(writer)
                self.observer.stood_by()
                await asyncio.sleep(self.lease_seconds / 6)
            except TROUBLES as error:
                wait = BACKOFF[min(failures, len(BACKOFF) - 1)]
                failures += 1
                self._most = max(1, self._most // 4)
                self.observer.stopped(error)
                logger.warning("ingest stopped, and starts again in %g s: %s", wait, error)
                await asyncio.sleep(wait)

    async def _ingest(self, writer: Writer) -> None:
        loop = asyncio.get_running_loop()
        start, reset = await start_of(self.js, self.stream, writer.at.place)
        if reset is not None:
            logger.error("stream %s %s: reading it from its first message", self.stream, reset)
            self.observer.source_reset()
            await writer.start_again(start)
        async with reading(self.client, self.js, self.stream, start.sequence + 1, self.batch, self._read) as reader:
            # Asked again, now that the cursor is there, which does not outlive the stream or its server: had either
            # come back as another one in between, the place to read from would mean nothing in it, and some be skipped.
            _, changed = await start_of(self.js, self.stream, writer.at.place)
            if changed is not None:
                raise Unavailable(f"the stream {changed} just now")
            self.observer.began(writer.at.term)
            await self._beat(writer.at.head)
            renewed = beaten = trimmed = loop.time()
            while True:
                _end_if_cancelled()
                read = await reader.next(min(live.HEARTBEAT_SECONDS / 2, self.lease_seconds / 6))
                self.behind = len(read) >= self.batch
                for messages in parts(read, self._most):
                    await self._store(writer, start, messages)
                if loop.time() - beaten >= live.HEARTBEAT_SECONDS:
                    await self._beat(writer.at.head)
                    beaten = loop.time()
                if loop.time() - renewed >= self.lease_seconds / 3:
                    await writer.renew()
                    renewed = loop.time()
                    await self._tidy(writer.at.rejected_head)
                if writer.at.place is not None and loop.time() - trimmed >= TRIM_SECONDS:
                    await self._trim(writer.at.place)
                    trimmed = loop.time()

    def _read(self, arrival: Arrival) -> Message:
        known = self._meanings.get(arrival.subject)
        if known is None:
            known = (
                type_of(arrival.subject, self.subjects),
                meant(arrival.subject, self.envelopes),
                meant(arrival.subject, self.message_version) or "claim",
            )
            if len(self._meanings) < REMEMBERED:
                self._meanings[arrival.subject] = known
        type, envelope, use = known
        return read(arrival, self.stream, type, envelope, use)

    async def _store(self, writer: Writer, start: Place, messages: Sequence[Message]) -> None:
        last = messages[-1].arrival
        place = Place(self.stream, start.created, last.sequence, last.recorded_at)
        began = asyncio.get_running_loop().time()
        try:
            stored = await writer.append(Batch(tuple(messages), place))
        except Unstorable as error:
            # find the message that MongoDB refuses, so that it stands in nobody's way
            if len(messages) == 1:
                await self._store(writer, start, [_unstorable(messages[0], error)])
            else:
                half = len(messages) // 2
                await self._store(writer, start, messages[:half])
                await self._store(writer, start, messages[half:])
            return
        self._most = min(self.batch, 2 * self._most)
        self.observer.stored(stored, len(messages), asyncio.get_running_loop().time() - began)
        for code, times in stored.codes.items():
            logger.warning("rejected %d with %s", times, code)
        for message in live.encode(stored.previous, stored.events, self.client.max_payload):
            await self.client.publish(live.subject(self.stream), message)
        for outcome in stored.outcomes:
            if (inbox := reply.inbox(outcome.arrival)) is not None:
                await self.client.publish(inbox, reply.encode(outcome))

    async def _beat(self, head: int) -> None:
        await self.client.publish(live.subject(self.stream), live.heartbeat(head))

    async def _trim(self, done: Place) -> None:
        try:
            await trim(self.js, done, self.keep_hours, self.log.clock())
        except nats.errors.Error as error:
            # a stream that must not be trimmed fills up in the end, and that is no reason to stop reading it now
            logger.warning("the stream %s could not be trimmed: %s", self.stream, error)

    async def _tidy(self, rejected_head: int) -> None:
        most = self.rejected_bytes if rejected_head != self._bounded_at else 0
        if most and await bound_rejected(self.log, most, self.lease_seconds / 6):
            self._bounded_at = rejected_head
        hour = self.log.clock() // HOUR
        if hour != self._tidied:
            await expiry.tidy(self.log)
            self._tidied = hour


def parts(messages: Sequence[Message], most: int) -> Iterator[Sequence[Message]]:
    """The messages in pieces of at most so many events, where one of more than that makes a piece of its own."""
    piece: list[Message] = []
    size = 0
    for message in messages:
        events = len(message.messages) if isinstance(message, Together) else 1
        if piece and size + events > most:
            yield piece
            piece, size = [], 0
        piece.append(message)
        size += events
    if piece:
        yield piece


def _end_if_cancelled() -> None:
    # nats-py swallows a cancellation in some of its calls, and the task would go on for ever
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _unstorable(message: Message, error: Unstorable) -> Refused:
    if isinstance(message, Refused):  # not even as a rejection, so it cannot be kept here; NATS still has it
        raise Blocked(f"MongoDB cannot keep the rejection of message {message.arrival.sequence}: {error}") from error
    return Refused(message.arrival, "UNSTORABLE", f"MongoDB cannot keep it: {error}", message.id)
