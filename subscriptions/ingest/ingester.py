"""The ingester: reads the stream from the checkpoint, stores batch after batch, and broadcasts each to the live feed.

It may be killed at any moment. JetStream gets no acknowledgement: the only one is the checkpoint, which is committed
with the events. What was not committed is read again; an event that was committed is recognized by its messageId.
Broadcasts and answers follow the commit, so they never announce an event that is not in the log. If they are lost, the
next batch or heartbeat shows receivers a hole, and publishers send again and get their answer from the log.

Only the holder of the lease reads; the others stand by. The lease saves work, and correctness does not depend on it:
two ingesters that both believe they hold it cannot both commit, since a commit requires the checkpoint to be unchanged.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventscope.errors import Blocked, CannotStart, LeaseLost, QuestionTimedOut, Unavailable, log_unexpected
from eventscope.store import incidents
from eventscope.store.log import Log
from eventscope.store.state import secret
from eventscope.store.stats.expiry import Housekeeping
from eventscope.store.values.message import ParsedMessage, StreamPosition
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import Writer, writing
from eventscope.subscriptions.ingest import self_report
from eventscope.subscriptions.ingest.arrival_parser import ArrivalParser
from eventscope.subscriptions.ingest.buffer import Buffer
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.ingest.pipeline import Pipeline
from eventscope.subscriptions.ingest.portions import Portions, stored_bytes
from eventscope.subscriptions.ingest.resume import start_of
from eventscope.subscriptions.ingest.stream_end import step_over_end
from eventscope.subscriptions.ingest.stream_reader import ReadInterrupted, StreamReader, open_reader
from eventscope.subscriptions.ingest.trim import bound_rejected
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.messages.envelope import MessageEnvelope
from eventscope.subscriptions.messages.versions import VersionUse
from eventscope.subscriptions.nats.single import messages_after
from eventscope.subscriptions.observer import UNOBSERVED, IngestObserver

# errors that end by themselves, or when somebody fixes their cause
TROUBLES: Final = (Unavailable, QuestionTimedOut, LeaseLost, Blocked, CannotStart, nats.errors.Error, OSError)
SINGLE: Final = 20  # messages that are fetched one by one after reading failed

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
    """How many bytes of rejected messages are kept; 0 for no limit."""
    max_bytes: int = 0
    """The limit of the stream if it has to be created; 0 for none."""
    limits: IngestLimits = field(default_factory=IngestLimits)
    holder: str = field(default_factory=self_report.new_holder)
    has_backlog: bool = False
    """Whether the last read returned a whole batch."""
    _housekeeping: Housekeeping = field(init=False)
    _bounded_at: int = -1  # the number of the last rejection when all of them had room
    _buffer: Buffer = field(init=False)
    _portions: Portions = field(init=False)
    _parser: ArrivalParser = field(init=False)
    _pipeline: Pipeline = field(init=False)
    _is_doubtful: bool = False  # whether reading failed, perhaps because of the next message
    _stopped_at: StreamPosition | None = None
    _started_at: float = 0.0
    _renewed_at: float = 0.0
    _heartbeat_at: float = 0.0
    _trimmed_at: float = 0.0

    def __post_init__(self) -> None:
        """Start with whole batches."""
        self._portions = Portions(self.batch)
        self._housekeeping = Housekeeping(self.log)
        self._buffer = Buffer(self.js, self.stream, self.subjects, self.max_bytes, self.keep_hours, self.observer)
        self._buffer.on_capture_gap = partial(incidents.note, self.log)
        self._pipeline = Pipeline(
            self.log.clock, self.client, self.stream, self._portions, self._buffer.takes, self.observer, self._do_upkeep
        )
        self._parser = ArrivalParser(
            self.stream,
            self.subjects,
            self.envelopes,
            self.message_version,
            self.kept_headers,
            self._buffer.reject_reserved,
        )

    async def run(self) -> None:
        """Ingest until cancelled, whatever servers go away and come back."""
        while True:
            _end_if_cancelled()
            try:
                self._renewed_at = _time()
                async with writing(self.log, self.retention, self.holder, self.lease_seconds, at_work=False) as writer:
                    if writer is not None:
                        logger.info("ingesting from position %d as %s", writer.at.head, self.holder)
                        await self._run_as_holder(writer)
                self.observer.on_standby()
                await asyncio.sleep(self.lease_seconds / 6)
            except TROUBLES as error:
                await self._wait(error, str(error), self.limits.backoff)
            except Exception as error:
                id = log_unexpected(error)
                reason = f"an unexpected error ({type(error).__name__}, errorId {id})"
                await self._wait(error, reason, self.limits.long_backoff)

    async def _wait(self, error: Exception, reason: str, backoff: Sequence[float]) -> None:
        wait = backoff[min(self._pipeline.failures, len(backoff) - 1)]
        self._pipeline.failures += 1
        self._portions.shrink()
        self.observer.on_stop(error)
        await self_report.publish_reason(self.log, self.holder, error)
        logger.warning("ingest stopped, and starts again in %g s: %s", wait, reason)
        await asyncio.sleep(wait)

    async def _run_as_holder(self, writer: Writer) -> None:
        while True:
            try:
                await self._ingest(writer)
            except ReadInterrupted as error:
                if self._stopped_at == writer.at.stream_position:  # twice without progress: leave the lease to others
                    raise
                self._stopped_at = writer.at.stream_position
                logger.warning("reading the stream %s again: %s", self.stream, error)

    async def _ingest(self, writer: Writer) -> None:
        await self._start(writer)
        if self._is_doubtful:
            await self._store_singly(writer)
        at = _stream_position(writer).sequence + 1
        async with open_reader(
            self.client, self.js, self.stream, at, self.batch, self._parser.parse, stored_bytes, self.limits
        ) as reader:
            await self._check_same_stream(writer)
            await self._send_heartbeat(writer.at.head)
            self._started_at = self._trimmed_at = _time()
            async with self._pipeline.running(writer):
                await self._read_and_store(writer, reader)

    async def _read_and_store(self, writer: Writer, reader: StreamReader[ParsedMessage]) -> None:
        is_at_work = False
        while True:
            _end_if_cancelled()
            reader.share = self._portions.share
            if self._pipeline.task is not None:
                await reader.fill(self._pipeline.task)
            if not reader.is_full:
                await self._pipeline.finish(writer)
            try:
                parsed = await reader.next(min(live_batch.HEARTBEAT_SECONDS / 2, self.lease_seconds / 6))
            except Exception:
                self._is_doubtful = True
                raise
            self.has_backlog = len(parsed) >= self.batch
            for messages in self._portions.of(parsed):
                await self._pipeline.store(writer, messages)
            if not is_at_work:
                # only after the first commit: otherwise each attempt that fails would look like work for a moment
                await self._pipeline.finish(writer)
                await writer.work()
                self.observer.on_start(writer.at.term)
                is_at_work = True
            await self._do_upkeep(writer)
            if not parsed and self._buffer.last_sequence > _stream_position(writer).sequence:
                await step_over_end(writer, self.client, reader, self.log.clock())

    async def _start(self, writer: Writer) -> None:
        self._pipeline.seal = self._pipeline.seal.of(await secret.ensure(self.log), writer.at.term, writer.at.identity)
        await self._buffer.prepare(lambda: self._send_heartbeat(writer.at.head))
        start = await start_of(self.client, self.stream, writer.at.stream_position)
        if start.reset is not None:
            logger.error("the stream %s %s: reading it from its first message", self.stream, start.reset)
            self.observer.on_source_reset()
            await incidents.note(
                self.log, f"the stream {self.stream} {start.reset}, and was read from its first message"
            )
            await writer.start_again(start.stream_position, start.last)
        elif writer.at.stream_position is None:
            if start.first > 1:
                logger.info("the stream %s begins with sequence %d; none before is there", self.stream, start.first)
            await writer.begin(start.stream_position)

    async def _check_same_stream(self, writer: Writer) -> None:
        # Checked again, now that there is a consumer, or messages, that do not outlive the stream or its server: if
        # either had been replaced since the first check, the sequence would belong to another message, and some would
        # be skipped.
        reset = (await start_of(self.client, self.stream, writer.at.stream_position)).reset
        if reset is not None:
            raise Unavailable(f"the stream {reset} just now")

    async def _store_singly(self, writer: Writer) -> None:
        """Store the next messages one by one, fetched in a way that no message can break."""
        arrivals = await messages_after(self.client, self.stream, _stream_position(writer).sequence, SINGLE)
        await self._check_same_stream(writer)
        async with self._pipeline.running(writer):
            for arrival in arrivals:
                await self._pipeline.store(writer, [self._parser.parse(arrival)])
        self._is_doubtful = False

    async def _do_upkeep(self, writer: Writer) -> None:
        """Do what must go on however long storing takes: heartbeats, the lease, expiry, trimming.

        Called after each commit too: the portions of one read may take longer than the lease, and a standby would take
        over only because MongoDB is slow.
        """
        now = _time()
        if now - self._heartbeat_at >= live_batch.HEARTBEAT_SECONDS:
            await self._send_heartbeat(self._pipeline.announced_position)
        if now - self._renewed_at >= self.lease_seconds / 3:
            self._renewed_at = now
            await self._pipeline.finish(writer)  # the lease is in the same document as the head
            await writer.renew()
            await self._tidy(writer.at.rejected_head)
            if now - self._started_at >= self.lease_seconds:
                self._pipeline.failures, self._stopped_at = 0, None
        if now - self._trimmed_at >= self.limits.trim_seconds:
            await self._buffer.maintain(_stream_position(writer), self.log.clock())
            self._trimmed_at = now

    async def _send_heartbeat(self, head: int) -> None:
        self._pipeline.announced_position = head
        await self.client.publish(live_batch.subject(self.stream), live_batch.heartbeat(head, self._pipeline.seal))
        self._heartbeat_at = _time()

    async def _tidy(self, rejected_head: int) -> None:
        limit = self.rejected_bytes if rejected_head != self._bounded_at else 0
        if limit and await bound_rejected(self.log, limit, self.lease_seconds / 6):
            self._bounded_at = rejected_head
        await self._housekeeping.look()


def _end_if_cancelled() -> None:
    # some calls of nats-py swallow a cancellation, and the task would go on for ever
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _time() -> float:
    return asyncio.get_running_loop().time()


def _stream_position(writer: Writer) -> StreamPosition:
    position = writer.at.stream_position
    assert position is not None, "_start sets it before anything is read"
    return position
