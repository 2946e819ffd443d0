"""The live feed of one API process: live batches in from NATS, passed on to the bounded queue of each reader.

The feed may lose batches. Positions show every hole, and the log fills it. Messages that no ingester of this log signed
are dropped. One may come from an ingester of an older version, so the head of the log is then read, and passed on like
a heartbeat: if something is new, it shows a hole.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.background import beside
from eventscope.errors import EventscopeError, log_unexpected
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import checkpoint
from eventscope.subscriptions.live import live_batch, seal
from eventscope.subscriptions.live.live_batch import LiveBatch
from eventscope.subscriptions.live.log_key import LogKey
from eventscope.subscriptions.observer import UNOBSERVED, FeedObserver, GuardedFeedObserver

MOST_WAITING: Final = 2_000
MOST_BYTES: Final = 16 * 1024**2  # of batches in one queue
SILENCE_SECONDS: Final = 3.0
DOUBT_SECONDS: Final = 0.1  # between two looks at the log while unsigned messages arrive
FAILED_SECONDS: Final = 1.0

# its head of 0 lies before any that readers know, so each of them looks at the checkpoint
REPLACED: Final = LiveBatch(previous=0, head=0)

logger = logging.getLogger(__name__)


class BatchQueue:
    """Live batches that wait for one reader; if there are too many, all are dropped, and `next` raises Overflow."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._batches: deque[LiveBatch] = deque()
        self._count = 0
        self._bytes = 0
        self._has_overflown = False
        self._changed = asyncio.Event()

    def put(self, batch: LiveBatch) -> None:
        """Add a batch, or drop all that wait if there is no room."""
        if self._has_overflown:
            return
        self._count += len(batch.events)
        self._bytes += batch.size
        self._batches.append(batch)
        if self._count > self._most_waiting or self._bytes > MOST_BYTES:
            self.clear()
            self._has_overflown = True
        self._changed.set()

    def clear(self) -> None:
        """Drop all that waits and accept batches again: the reader falls back to the log.

        Called before the log is read: what is stored meanwhile then waits here, and no hole is left after the replay.
        """
        self._batches.clear()
        self._count = self._bytes = 0
        self._has_overflown = False

    async def next(self, seconds: float) -> LiveBatch | None:
        """The next batch; None if none came within `seconds`. Overflow after batches were dropped."""
        if not self._batches and not self._has_overflown:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return None
        if self._has_overflown:
            raise Overflow
        batch = self._batches.popleft()
        self._count -= len(batch.events)
        self._bytes -= batch.size
        return batch


class Overflow(Exception):
    """A reader was too slow, and what waited for it was dropped. Nothing is added until it calls `clear`."""


class Feed:
    """Receives live batches. Made by `open_feed`."""

    def __init__(self, log: Log, most_waiting: int = MOST_WAITING) -> None:
        self._log = log
        self._most_waiting = most_waiting
        self._key = LogKey(log)
        self._has_doubt = asyncio.Event()
        self._head = 0  # that was passed on last
        self._last_order = (0, 0)
        self._observer: FeedObserver = UNOBSERVED
        self.subscribers = 0
        """How many subscriptions are open."""
        self.recent: RecentEvents | None = None
        """Gets each batch before the readers, so that none of them knows of an event that it lacks."""
        self._queues: set[BatchQueue] = set()
        self._last_message_at: float | None = None
        self._identity: str | None = None  # of the log that the last batch came from

    @property
    def observer(self) -> FeedObserver:
        """Counts what arrives and what is delivered. An exception of an observer is logged and stops nothing."""
        return self._observer

    @observer.setter
    def observer(self, observer: FeedObserver) -> None:
        self._observer = GuardedFeedObserver(observer)

    @contextmanager
    def count_subscriber(self) -> Iterator[None]:
        """Count a subscription for the length of the block."""
        self.subscribers += 1
        try:
            yield
        finally:
            self.subscribers -= 1

    @property
    def is_silent(self) -> bool:
        """Whether nothing came for longer than the pause between two heartbeats can explain."""
        return (
            self._last_message_at is None or asyncio.get_running_loop().time() - self._last_message_at > SILENCE_SECONDS
        )

    @contextmanager
    def join(self) -> Iterator[BatchQueue]:
        """A queue that gets each batch from now on, for the length of the block."""
        queue = BatchQueue(self._most_waiting)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def receive(self, message: Msg) -> None:
        """Pass a message from NATS on to each queue, if an ingester of this log signed it."""
        raw = message.data
        if not seal.is_sealed(raw):
            self._distrust("unsigned")
            return
        if not self._is_genuine(raw):
            await self._learn_key()
            if not self._is_genuine(raw):
                self._distrust("forged")
                return
        try:
            batch = live_batch.decode(raw)
        except (ValueError, KeyError, TypeError):
            logger.warning("a message on %s is not a live batch of this version", message.subject)
            self._has_doubt.set()
            return
        if batch.order <= self._last_order:
            self._distrust("repeated")
            return
        self._last_order = batch.order
        self._last_message_at = asyncio.get_running_loop().time()
        self._accept(batch)
        self._observer.on_arrival(batch.events)

    async def start(self) -> None:
        """Read the key, if there is one: MongoDB may be unavailable when the first message comes."""
        await self._learn_key()
        self._key.expire()

    async def refresh(self) -> None:
        """Read the head, and pass it on if something is new. Unavailable, QuestionTimedOut or Blocked."""
        await self._learn_key()
        at = await checkpoint.read(self._log)
        if at.term < self._last_order[0]:  # the log was restored from a backup
            self._last_order = (0, 0)
        if at.head > self._head or at.identity != self._identity:  # a lower head may just be older
            self._accept(LiveBatch(at.head, at.head, log=at.identity))

    async def watch(self) -> None:
        """Refresh when there is doubt, but at most every DOUBT_SECONDS, however many messages cause it."""
        while True:
            await self._has_doubt.wait()
            self._has_doubt.clear()
            try:
                await self.refresh()
            except EventscopeError as error:
                logger.warning("the live feed waits for the log: %s", error)
                self._has_doubt.set()
                await asyncio.sleep(FAILED_SECONDS)
            except Exception as error:
                log_unexpected(error, "the live feed looks at the log again")
                self._has_doubt.set()
                await asyncio.sleep(FAILED_SECONDS)
            await asyncio.sleep(DOUBT_SECONDS)

    def _is_genuine(self, raw: bytes) -> bool:
        return self._key.value is not None and seal.is_genuine(raw, self._key.value)

    async def _learn_key(self) -> None:
        if await self._key.learn():
            self._last_order = (0, 0)

    def _distrust(self, reason: str) -> None:
        self._observer.on_distrust(reason)
        self._has_doubt.set()

    def _accept(self, batch: LiveBatch) -> None:
        if batch.log is not None:
            before, self._identity = self._identity, batch.log
            if before not in (None, batch.log):
                self._pass_on(REPLACED)
        self._pass_on(batch)

    def _pass_on(self, batch: LiveBatch) -> None:
        self._head = batch.head
        if self.recent is not None:
            try:
                self.recent.add(batch.previous, batch.events, batch.head, batch.size)
            except Exception as error:
                log_unexpected(error, "the newest events are read into memory again")
                self.recent.restart(None)
        for queue in self._queues:
            queue.put(batch)


@asynccontextmanager
async def open_feed(log: Log, client: Client, stream: str, most_waiting: int = MOST_WAITING) -> AsyncIterator[Feed]:
    """The feed of that stream's log, for the length of the block.

    A reader for whom more than `most_waiting` events wait is too slow, and falls back to the log.
    """
    feed = Feed(log, most_waiting)
    await feed.start()
    subscription = await client.subscribe(live_batch.subject(stream), cb=feed.receive)
    try:
        async with beside(feed.watch()):
            yield feed
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()
