"""The live feed of one API process: live batches in from NATS, handed on to every follower's bounded inbox.

The feed may lose batches, and says so by what it hands on: positions show every hole, and the log fills it. What no
ingester of this log has signed is not looked at. It may have been sent by one of an older version, so the head of the
log is read then, and handed on as if an ingester had told it: where something is new, that shows a hole.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.background import cancel
from eventscope.errors import EventscopeError, log_unexpected
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import checkpoint
from eventscope.subscriptions.live import live_batch, seal
from eventscope.subscriptions.live.live_batch import LiveBatch
from eventscope.subscriptions.live.log_key import LogKey
from eventscope.subscriptions.observer import UNOBSERVED, FeedObserver, GuardedFeedObserver

MOST_WAITING: Final = 2_000  # events that may wait for one follower; a slower one reads the log instead
MOST_BYTES: Final = 16 * 1024**2  # of batches that may wait for one follower
SILENCE_SECONDS: Final = 3.0
DOUBT_SECONDS: Final = 0.1  # from one look at the log to the next while messages come that nobody signed
FAILED_SECONDS: Final = 1.0

# a log that ends there is none that anybody knows events of: each looks at the checkpoint
BEGUN_ANEW: Final = LiveBatch(previous=0, head=0)

logger = logging.getLogger(__name__)


class Inbox:
    """Live batches that wait for one follower; too many are dropped, and the follower is told."""

    def __init__(self) -> None:
        self._batches: deque[LiveBatch] = deque()
        self._waiting = 0
        self._bytes = 0
        self._overflown = False
        self._something = asyncio.Event()

    def put(self, batch: LiveBatch) -> None:
        """Add a batch, or drop all that wait when there is no room."""
        if self._overflown:
            return
        self._waiting += len(batch.events)
        self._bytes += batch.size
        self._batches.append(batch)
        if self._waiting > MOST_WAITING or self._bytes > MOST_BYTES:
            self.clear()
            self._overflown = True
        self._something.set()

    def clear(self) -> None:
        """Forget all that waits: the follower reads the log instead."""
        self._batches.clear()
        self._waiting = self._bytes = 0
        self._overflown = False

    async def next(self, seconds: float) -> LiveBatch | None:
        """The next batch; None when none came in that time."""
        if not self._batches and not self._overflown:
            self._something.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._something.wait()
            except TimeoutError:
                return None
        if self._overflown:
            raise Overflow
        batch = self._batches.popleft()
        self._waiting -= len(batch.events)
        self._bytes -= batch.size
        return batch


class Overflow(Exception):
    """A follower was too slow, and what waited for it was dropped."""


class Feed:
    """Where live batches arrive. Make it with `open_feed`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._key = LogKey(log)
        self._doubt = asyncio.Event()
        self._head = 0  # that was handed on last
        self._last = (0, 0)  # the order of the last message
        self._observer: FeedObserver = UNOBSERVED
        self.followers = 0
        """How many subscriptions follow just now."""
        self.tail: RecentEvents | None = None
        """Is told first of all, so that nobody can have heard of an event that it does not know."""
        self._inboxes: set[Inbox] = set()
        self._heard: float | None = None
        self._name: str | None = None  # of the log that the last batch was of

    @property
    def observer(self) -> FeedObserver:
        """Hears what arrives and what is delivered. Whatever one raises is logged and stops nothing."""
        return self._observer

    @observer.setter
    def observer(self, observer: FeedObserver) -> None:
        self._observer = GuardedFeedObserver(observer)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Count a follower for the length of the block."""
        self.followers += 1
        try:
            yield
        finally:
            self.followers -= 1

    @property
    def silent(self) -> bool:
        """Whether nothing was heard for longer than a living ingester keeps silent."""
        return self._heard is None or asyncio.get_running_loop().time() - self._heard > SILENCE_SECONDS

    @contextmanager
    def join(self) -> Iterator[Inbox]:
        """An inbox that gets every batch from now on, for the length of the block."""
        inbox = Inbox()
        self._inboxes.add(inbox)
        try:
            yield inbox
        finally:
            self._inboxes.discard(inbox)

    async def receive(self, message: Msg) -> None:
        """Hand a message from NATS on to every follower, if an ingester of this log has signed it."""
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
            logger.warning("what came on %s is no live batch of this version", message.subject)
            self._doubt.set()
            return
        if batch.order <= self._last:
            self._distrust("repeated")
            return
        self._last = batch.order
        self._heard = asyncio.get_running_loop().time()
        self._take(batch)
        self._observer.arrived(batch.events)

    async def begin(self) -> None:
        """Learn the key, if there is one: MongoDB may be away when the first message comes."""
        await self._learn_key()
        self._key.expire()

    async def look(self) -> None:
        """Read the head, for something may be new. Unavailable, QuestionTimedOut or Blocked."""
        await self._learn_key()
        at = await checkpoint.read(self._log)
        if at.term < self._last[0]:  # it was brought back as it was before
            self._last = (0, 0)
        if at.head > self._head or at.identity != self._name:  # a lower one may only be late
            self._take(LiveBatch(at.head, at.head, log=at.identity))

    async def keep(self) -> None:
        """Look whenever there is reason to, but seldom, however much is sent by whoever it is."""
        while True:
            await self._doubt.wait()
            self._doubt.clear()
            try:
                await self.look()
            except EventscopeError as error:
                logger.warning("the live feed waits for the log: %s", error)
                self._doubt.set()
                await asyncio.sleep(FAILED_SECONDS)
            except Exception as error:
                log_unexpected(error, "what is new in the log is looked for again")
                self._doubt.set()
                await asyncio.sleep(FAILED_SECONDS)
            await asyncio.sleep(DOUBT_SECONDS)

    def _is_genuine(self, raw: bytes) -> bool:
        return self._key.value is not None and seal.is_genuine(raw, self._key.value)

    async def _learn_key(self) -> None:
        if await self._key.learn():
            self._last = (0, 0)

    def _distrust(self, reason: str) -> None:
        self._observer.distrusted(reason)
        self._doubt.set()

    def _take(self, batch: LiveBatch) -> None:
        if batch.log is not None:
            before, self._name = self._name, batch.log
            if before not in (None, batch.log):
                self._hand_on(BEGUN_ANEW)
        self._hand_on(batch)

    def _hand_on(self, batch: LiveBatch) -> None:
        self._head = batch.head
        if self.tail is not None:
            try:
                self.tail.add(batch.previous, batch.events, batch.head, batch.size)
            except Exception as error:
                log_unexpected(error, "the newest events in memory are read anew")
                self.tail.restart(None)
        for inbox in self._inboxes:
            inbox.put(batch)


@asynccontextmanager
async def open_feed(log: Log, client: Client, stream: str) -> AsyncIterator[Feed]:
    """The feed of that stream's log, for the length of the block."""
    feed = Feed(log)
    await feed.begin()
    subscription = await client.subscribe(live_batch.subject(stream), cb=feed.receive)
    keeper = asyncio.create_task(feed.keep())
    try:
        yield feed
    finally:
        await cancel(keeper)
        if not client.is_closed:
            await subscription.unsubscribe()
