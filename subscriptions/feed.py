"""The live feed of one API process: live batches in from NATS, handed on to every follower's bounded inbox.

The feed may lose batches, and says so by what it hands on: positions show every hole, and the log fills it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.errors import unexpected
from eventscope.store.tail import Tail
from eventscope.subscriptions import live
from eventscope.subscriptions.live import LiveBatch
from eventscope.subscriptions.observer import UNOBSERVED, FeedObserver, GuardedFeedObserver

MOST_WAITING: Final = 2_000  # events that may wait for one follower; a slower one reads the log instead
MOST_BYTES: Final = 16 * 1024**2  # of batches that may wait for one follower
SILENCE_SECONDS: Final = 3.0

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
    """Where live batches arrive. Make it with `feeding`."""

    def __init__(self) -> None:
        self._observer: FeedObserver = UNOBSERVED
        self.followers = 0
        """How many subscriptions follow just now."""
        self.tail: Tail | None = None
        """Is told first of all, so that nobody can have heard of an event that it does not know."""
        self._inboxes: set[Inbox] = set()
        self._heard: float | None = None
        self._log: str | None = None  # that the last batch was of

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
        """Hand a message from NATS on to every follower."""
        self._heard = asyncio.get_running_loop().time()
        try:
            batch = live.decode(message.data)
        except (ValueError, KeyError, TypeError):
            logger.warning("what came on %s is no live batch", message.subject)
            return
        if batch.log is not None:
            before, self._log = self._log, batch.log
            if before not in (None, batch.log):
                self._hand_on(BEGUN_ANEW)
        self._hand_on(batch)
        self._observer.arrived(batch.events)

    def _hand_on(self, batch: LiveBatch) -> None:
        if self.tail is not None:
            try:
                self.tail.take(batch.previous, batch.events, batch.head, batch.size)
            except Exception as error:
                unexpected(error, "the newest events in memory are read anew")
                self.tail.restart(None)
        for inbox in self._inboxes:
            inbox.put(batch)


@asynccontextmanager
async def feeding(client: Client, stream: str) -> AsyncIterator[Feed]:
    """The feed of that stream's log, for the length of the block."""
    feed = Feed()
    subscription = await client.subscribe(live.subject(stream), cb=feed.receive)
    try:
        yield feed
    finally:
        if not client.is_closed:
            await subscription.unsubscribe()
