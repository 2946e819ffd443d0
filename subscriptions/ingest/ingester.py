"""The ingester: reads the stream from the checkpoint, stores batch after batch, and tells the live feed.

It may be killed at any moment: what is not stored is read again, and what is stored already is known by its messageId.
Only the holder of the lease reads; the others stand by.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventscope.errors import Blocked, CannotStart, LeaseLost, QuestionTimedOut, Unavailable, Unstorable, log_unexpected
from eventscope.store import incidents
from eventscope.store.log import Log
from eventscope.store.state import secret
from eventscope.store.stats.expiry import Housekeeping
from eventscope.store.values.message import Arrival, MessageBatch, ParsedMessage, StreamPosition
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import Writer, writing
from eventscope.subscriptions.ingest import standing
from eventscope.subscriptions.ingest.buffer import Buffer
from eventscope.subscriptions.ingest.holes import holes, report
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.ingest.poison import is_unreadable, unreadable, unstorable
from eventscope.subscriptions.ingest.portions import Portions, stored_bytes
from eventscope.subscriptions.ingest.resume import start_of
from eventscope.subscriptions.ingest.stepping import step_over
from eventscope.subscriptions.ingest.stream_reader import ReadInterrupted, open_reader
from eventscope.subscriptions.ingest.trim import bound_rejected
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.messages.envelope import MessageEnvelope
from eventscope.subscriptions.messages.parse import parse_message
from eventscope.subscriptions.messages.versions import VersionUse
from eventscope.subscriptions.nats.capture import is_reserved
from eventscope.subscriptions.nats.single import messages_after
from eventscope.subscriptions.nats.subjects import first_match, type_of
from eventscope.subscriptions.observer import UNOBSERVED, IngestObserver
from eventscope.subscriptions.publish import outcome

TRIM_SECONDS: Final = 5.0  # a full stream refuses its publishers until then
REMEMBERED: Final = 10_000  # subjects whose meaning is remembered
# what ends by itself, or when somebody mends it
TROUBLES: Final = (Unavailable, QuestionTimedOut, LeaseLost, Blocked, CannotStart, nats.errors.Error, OSError)
BACKOFF: Final = (0.2, 0.4, 0.8, 1.6, 3.0)  # seconds
LONG_BACKOFF: Final = (1.0, 3.0, 10.0, 30.0)  # after what nobody foresaw
ALONE: Final = 20  # messages that are fetched one by one after reading stopped

logger = logging.getLogger(__name__)


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
    envelopes: Mapping[str, MessageEnvelope] = field(default_factory=dict)
    message_version: Mapping[str, VersionUse] = field(default_factory=dict)
    kept_headers: KeptHeaders = field(default_factory=KeptHeaders)
    keep_hours: float = 24.0
    observer: IngestObserver = UNOBSERVED
    rejected_bytes: int = 0
    """How many bytes of rejected messages are kept; 0 for any number."""
    max_bytes: int = 0
    """The limit of the stream where it has to be made anew; 0 for none."""
    holder: str = field(default_factory=standing.new_holder)
    behind: bool = False
    """Whether there was a whole batch to take the last time it looked."""
    _housekeeping: Housekeeping = field(init=False)
    _bounded_at: int = -1  # the last rejection when all of them had room
    _buffer: Buffer = field(init=False)
    _portions: Portions = field(init=False)
    _meanings: dict[str, tuple[str | None, MessageEnvelope | None, VersionUse]] = field(default_factory=dict)
    _seal: Seal = field(default_factory=lambda: Seal(b"", 0), repr=False)
    _failures: int = 0  # since the last progress
    _doubtful: bool = False  # whether reading stopped, for which the next message may be to blame
    _stopped_at: StreamPosition | None = None
    _began: float = 0.0
    _renewed: float = 0.0
    _beaten: float = 0.0
    _trimmed: float = 0.0

    def __post_init__(self) -> None:
        """Begin with whole batches."""
        self._portions = Portions(self.batch)
        self._housekeeping = Housekeeping(self.log)
        self._buffer = Buffer(self.js, self.stream, self.subjects, self.max_bytes, self.keep_hours, self.observer)
        self._buffer.missed = partial(incidents.note, self.log)

    async def run(self) -> None:
        """Ingest until cancelled, whatever goes away and comes back."""
        while True:
            _end_if_cancelled()
            try:
                self._renewed = _time()
                async with writing(self.log, self.retention, self.holder, self.lease_seconds, at_work=False) as writer:
                    if writer is not None:
                        logger.info("ingesting from position %d as %s", writer.at.head, self.holder)
                        await self._hold(writer)
                self.observer.stood_by()
                await asyncio.sleep(self.lease_seconds / 6)
            except TROUBLES as error:
                await self._wait(error, str(error), BACKOFF)
            except Exception as error:
                id = log_unexpected(error)
                await self._wait(error, f"an unexpected error ({type(error).__name__}, errorId {id})", LONG_BACKOFF)

    async def _wait(self, error: Exception, reason: str, backoff: Sequence[float]) -> None:
        wait = backoff[min(self._failures, len(backoff) - 1)]
        self._failures += 1
        self._portions.failed()
        self.observer.stopped(error)
        await standing.leave(self.log, self.holder, error)
        logger.warning("ingest stopped, and starts again in %g s: %s", wait, reason)
        await asyncio.sleep(wait)

    async def _hold(self, writer: Writer) -> None:
        while True:
            try:
                await self._ingest(writer)
            except ReadInterrupted as error:
                if self._stopped_at == writer.at.place:
                    raise
                self._stopped_at = writer.at.place
                logger.warning("reading the stream %s anew: %s", self.stream, error)

    async def _ingest(self, writer: Writer) -> None:
        await self._begin(writer)
        if self._doubtful:
            await self._take_alone(writer)
        at = _place(writer).sequence + 1
        async with open_reader(
            self.client, self.js, self.stream, at, self.batch, self._read_any, stored_bytes
        ) as reader:
            await self._same(writer)
            await self._beat(writer.at.head)
            self._began = self._trimmed = _time()
            begun = False
            while True:
                _end_if_cancelled()
                reader.share = self._portions.share
                try:
                    parse_message = await reader.next(min(live_batch.HEARTBEAT_SECONDS / 2, self.lease_seconds / 6))
                except Exception:
                    self._doubtful = True
                    raise
                self.behind = len(parse_message) >= self.batch
                for messages in self._portions.of(parse_message):
                    await self._store(writer, messages)
                if not begun:
                    # not before: with what stopped it before it would seem to work for a moment at each try
                    await writer.work()
                    self.observer.began(writer.at.term)
                    begun = True
                await self._keep_up(writer)
                if not parse_message and self._buffer.reached > _place(writer).sequence:
                    await step_over(writer, self.client, reader, self.log.clock())

    async def _begin(self, writer: Writer) -> None:
        self._seal = self._seal.of(await secret.ensure(self.log), writer.at.term, writer.at.identity)
        await self._buffer.ready(lambda: self._beat(writer.at.head))
        origin = await start_of(self.client, self.stream, writer.at.place)
        if origin.reset is not None:
            logger.error("stream %s %s: reading it from its first message", self.stream, origin.reset)
            self.observer.source_reset()
            await incidents.note(
                self.log, f"the stream {self.stream} {origin.reset}, and was read from its first message"
            )
            await writer.start_again(origin.place, origin.last)
        elif writer.at.place is None:
            if origin.first > 1:
                logger.info("the stream %s begins with sequence %d; none before is there", self.stream, origin.first)
            await writer.begin(origin.place)

    async def _same(self, writer: Writer) -> None:
        # Asked again, now that there is something that does not outlive the stream or its server: had either come back
        # as another one in between, the place to read from would mean nothing in it, and some would be skipped.
        changed = (await start_of(self.client, self.stream, writer.at.place)).reset
        if changed is not None:
            raise Unavailable(f"the stream {changed} just now")

    async def _take_alone(self, writer: Writer) -> None:
        """Take the next messages one by one, in a way that none of them can break."""
        arrivals = await messages_after(self.client, self.stream, _place(writer).sequence, ALONE)
        await self._same(writer)
        for arrival in arrivals:
            await self._store(writer, [self._read_any(arrival)])
        self._doubtful = False

    async def _keep_up(self, writer: Writer) -> None:
        """Do what must go on however long storing takes: heartbeats, the lease, expiry, trimming."""
        now = _time()
        if now - self._beaten >= live_batch.HEARTBEAT_SECONDS:
            await self._beat(writer.at.head)
        if now - self._renewed >= self.lease_seconds / 3:
            self._renewed = now
            await writer.renew()
            await self._tidy(writer.at.rejected_head)
            if now - self._began >= self.lease_seconds:
                self._failures, self._stopped_at = 0, None
        if now - self._trimmed >= TRIM_SECONDS:
            await self._buffer.keep(_place(writer), self.log.clock())
            self._trimmed = now

    def _read_any(self, arrival: Arrival) -> ParsedMessage:
        if is_reserved(arrival.subject):
            return self._buffer.stray(arrival)
        if is_unreadable(arrival):
            return unreadable(arrival, self.stream, "its subject is not UTF-8")
        try:
            return self._read(arrival)
        except MemoryError:  # no fault of the message
            raise
        except Exception as error:  # a fault of ours, which must not stop the log for all others
            return unreadable(arrival, self.stream, f"reading it failed; errorId {log_unexpected(error)} finds out why")

    def _read(self, arrival: Arrival) -> ParsedMessage:
        known = self._meanings.get(arrival.subject)
        if known is None:
            known = (
                type_of(arrival.subject, self.subjects),
                first_match(arrival.subject, self.envelopes),
                first_match(arrival.subject, self.message_version) or "claim",
            )
            if len(self._meanings) < REMEMBERED:
                self._meanings[arrival.subject] = known
        type, envelope, use = known
        return self.kept_headers.add_to(parse_message(arrival, self.stream, type, envelope, use))

    async def _store(self, writer: Writer, messages: Sequence[ParsedMessage]) -> None:
        last, before = messages[-1].arrival, _place(writer)
        place = replace(before, sequence=last.sequence, recorded_at=last.recorded_at)
        lost = holes(writer.at, before, messages, self.log.clock())
        began = _time()
        try:
            stored = await writer.append(MessageBatch(tuple(messages), place, lost))
        except Unstorable as error:
            # find the message that MongoDB refuses, so that it stands in nobody's way
            if len(messages) == 1:
                kept = unstorable(messages[0], str(error))
                if kept is None:
                    raise Blocked(
                        f"MongoDB refuses sequence {last.sequence} of {self.stream} even as a rejection, and no later"
                        f" message is taken before it: {error}"
                    ) from error
                await self._store(writer, [kept])
            else:
                for part in self._portions.after(error, messages, _time()):
                    await self._store(writer, part)
            return
        self._failures = 0
        self._portions.stored(_time())
        self.observer.stored(stored, len(messages), _time() - began)
        if lost:
            report(lost)
        for code, times in stored.codes.items():
            logger.warning("rejected %d with %s", times, code)
        for message in live_batch.encode(stored.previous, stored.events, self.client.max_payload, self._seal):
            await self.client.publish(live_batch.subject(self.stream), message)
        for inbox, answer in outcome.answers(stored.outcomes, self.client.max_payload, self._seal.key):
            if not self._buffer.takes(inbox):  # an answer that comes back would be answered too
                await self.client.publish(inbox, answer)
        await self._keep_up(writer)

    async def _beat(self, head: int) -> None:
        await self.client.publish(live_batch.subject(self.stream), live_batch.heartbeat(head, self._seal))
        self._beaten = _time()

    async def _tidy(self, rejected_head: int) -> None:
        most = self.rejected_bytes if rejected_head != self._bounded_at else 0
        if most and await bound_rejected(self.log, most, self.lease_seconds / 6):
            self._bounded_at = rejected_head
        await self._housekeeping.look()


def _end_if_cancelled() -> None:
    # nats-py swallows a cancellation in some of its calls, and the task would go on for ever
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _time() -> float:
    return asyncio.get_running_loop().time()


def _place(writer: Writer) -> StreamPosition:
    place = writer.at.place
    assert place is not None, "it is set before anything is read"
    return place
