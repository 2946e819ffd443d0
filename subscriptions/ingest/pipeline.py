"""One batch is drafted while the one before it is written, and that one is announced while the next is written.

What must not happen at the same time does not: at most one batch is being written, a batch is announced only after its
commit, and in the order of the log. If a batch is not stored, the one that was drafted after it is dropped too.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from nats.aio.client import Client

from eventscope import background
from eventscope.errors import Blocked, Unstorable
from eventscope.store.values.message import Lost, MessageBatch, ParsedMessage, Stored
from eventscope.store.values.moment import Clock
from eventscope.store.write.writer import Writer
from eventscope.subscriptions.ingest.holes import holes, report
from eventscope.subscriptions.ingest.poison import unstorable
from eventscope.subscriptions.ingest.portions import Portions
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.observer import IngestObserver
from eventscope.subscriptions.publish import outcome

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchInFlight:
    """A batch that is being written `since` then, and what was lost before it."""

    task: asyncio.Task[Stored]
    messages: Sequence[ParsedMessage]
    lost: tuple[Lost, ...]
    since: float


@dataclass(slots=True)
class Pipeline:
    """Stores batches and announces them. `takes` says whether the stream itself accepts a subject.

    `upkeep` is called after each batch: the portions of one read may take longer than the lease.
    """

    clock: Clock
    client: Client
    stream: str
    portions: Portions
    takes: Callable[[str], bool]
    observer: IngestObserver
    upkeep: Callable[[Writer], Awaitable[None]]
    seal: Seal = field(default_factory=lambda: Seal(b"", 0), repr=False)
    announced_position: int = 0
    """The head of the log, as far as it was announced."""
    failures: int = 0
    """How often ingest has stopped since the last batch was stored."""
    _in_flight: BatchInFlight | None = None

    @asynccontextmanager
    async def running(self, writer: Writer) -> AsyncIterator[None]:
        """Store and announce everything by the end of the block; if that is cancelled, what is being written may be.

        Errors of the block are raised after what was read before them is stored: it must not be read again and again.
        """
        try:
            yield
            await self.finish(writer)
        except Exception:
            with suppress(Exception):
                await self.finish(writer)
            raise
        finally:
            # the session that it uses ends with the writer
            in_flight, self._in_flight = self._in_flight, None
            if in_flight is not None:
                await background.cancel(in_flight.task)

    @property
    def task(self) -> asyncio.Task[Stored] | None:
        """The task that writes a batch now, if there is one."""
        return None if self._in_flight is None else self._in_flight.task

    async def store(self, writer: Writer, messages: Sequence[ParsedMessage]) -> None:
        """Begin to store the messages, once those before them are stored; announce the latter meanwhile.

        They are drafted while the batch before is being written, as if it were stored. If it is not, both are dropped.
        """
        last, before = messages[-1].arrival, writer.ahead.stream_position
        assert before is not None, "_start sets it before anything is read"
        position = replace(before, sequence=last.sequence, recorded_at=last.recorded_at)
        lost = holes(writer.at, before, messages, self.clock())
        try:
            prepared = await writer.prepare(MessageBatch(tuple(messages), position, lost))
        except Unstorable as error:
            await self.finish(writer)
            await self._store_parts(writer, messages, error)
            return
        stored = await self._written(writer)
        self._in_flight = BatchInFlight(writer.start(prepared), messages, lost, _time())
        if stored is not None:
            await self._announce(stored)
        await self.upkeep(writer)

    async def finish(self, writer: Writer) -> None:
        """Wait until everything is stored and announced."""
        stored = await self._written(writer)
        if stored is not None:
            await self._announce(stored)

    async def _written(self, writer: Writer) -> Stored | None:
        """The batch that was being written, once it is stored; None if there was none, or if it was stored in parts."""
        writing, self._in_flight = self._in_flight, None
        if writing is None:
            return None
        try:
            stored = await writing.task
        except Unstorable as error:
            await self._store_parts(writer, writing.messages, error)
            return None
        self.failures = 0
        self.portions.grow(_time())
        self.observer.on_commit(stored, len(writing.messages), _time() - writing.since)
        if writing.lost:
            report(writing.lost)
        for code, times in stored.codes.items():
            logger.warning("messages rejected with %s: %d; see `eventscope rejected list`", code, times)
        return stored

    async def _store_parts(self, writer: Writer, messages: Sequence[ParsedMessage], error: Unstorable) -> None:
        """Find the message that MongoDB refuses, so that it does not block the others."""
        if len(messages) == 1:
            rejection = unstorable(messages[0], str(error))
            if rejection is None:
                sequence = messages[0].arrival.sequence
                raise Blocked(
                    f"MongoDB refuses sequence {sequence} of {self.stream} even as a rejection, and no later message"
                    f" can be stored before it: {error}"
                ) from error
            await self.store(writer, [rejection])
        else:
            for part in self.portions.after(error, messages, _time()):
                await self.store(writer, part)
        await self.finish(writer)

    async def _announce(self, stored: Stored) -> None:
        """Broadcast the events, and answer those who wait."""
        for message in live_batch.encode(stored.previous, stored.events, self.client.max_payload, self.seal):
            await self.client.publish(live_batch.subject(self.stream), message)
        self.announced_position = stored.head
        for inbox, answer in outcome.answers(stored.outcomes, self.client.max_payload, self.seal.key):
            if not self.takes(inbox):  # the stream would return the answer, and it would be answered too
                await self.client.publish(inbox, answer)


def _time() -> float:
    return asyncio.get_running_loop().time()
