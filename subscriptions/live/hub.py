"""Live delivery to all subscribers of one process: one loop over the live feed, one cohort for equal subscriptions.

    async with open_hub(log, feed, budget) as hub:
        await hub.follow(key, filter, after, render, sink)     # one subscriber, until its sink is gone
        hub.state()                                            # HubState(count, cohorts, slowest_lag_events, …)

The hub knows up to which position the log was sent. A batch that starts after it leaves a hole, which is read from the
store once for all: subscribers get `LiveBreak`, what was missed, and `LiveStart`. Where that would take too long, each
subscriber reads for itself, as slow ones do. A subscriber that joins gets what is sent from the moment before it looks
for the end of the log, and skips what it has already read.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from eventscope.background import beside
from eventscope.errors import EventscopeError
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, Filter
from eventscope.store.log import Log
from eventscope.store.pace import Pace
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import HOUR
from eventscope.subscriptions.live.cohort import Cohort, Render, Shared
from eventscope.subscriptions.live.feed import BatchQueue, Feed, Overflow
from eventscope.subscriptions.live.filter_index import FilterIndex
from eventscope.subscriptions.live.history import HistoryReader, LiveBreak, LiveStart
from eventscope.subscriptions.live.live_batch import LiveBatch
from eventscope.subscriptions.live.paging import Paging, size
from eventscope.subscriptions.live.render_cache import RenderCache
from eventscope.subscriptions.live.sink import Sink
from eventscope.subscriptions.live.subscriber import DeliveryLimits, SendBudget, Subscriber

SUBSCRIBER_BYTES: Final = 1024**2
TOTAL_BYTES: Final = 64 * 1024**2
CACHE_BYTES: Final = 16 * 1024**2  # of rendered results
LOOKS: Final = 5  # how often cohorts are looked at in the time within which each must learn its position

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubState:
    """The state of live delivery."""

    count: int
    """Subscriptions that follow the log, including those that share nothing."""
    cohorts: int
    """Different subscriptions among those that share."""
    slowest_lag_events: int
    """How many positions the slowest subscriber is behind the hub."""
    waiting_bytes: int
    """Bytes that wait for slow subscribers."""


class Hub:
    """Sends the log to cohorts. Made by `open_hub`."""

    def __init__(self, log: Log, feed: Feed, budget: SendBudget, limits: DeliveryLimits) -> None:
        self._log = log
        self._feed = feed
        self.limits = limits
        """The limits of the hub, and of subscribers that join from now on."""
        self._shared = Shared(feed, budget, RenderCache(CACHE_BYTES))
        self._cohorts: dict[Hashable, Cohort] = {}
        self._index: FilterIndex[Cohort] = FilterIndex()
        self._identity: str | None = None  # of the log, once it is known
        self._hour = 0  # of the last moment at which nothing was missing
        self._break: int | None = None  # the position of the LiveBreak that no LiveStart has followed yet
        self._announced_at = 0.0
        self._pace = Pace()

    @property
    def position(self) -> int:
        """The position up to which the log was sent."""
        return self._shared.position

    def state(self) -> HubState:
        """The present state."""
        lags = [self.position - one.position for cohort in self._cohorts.values() for one in cohort.subscribers]
        return HubState(self._feed.subscribers, len(self._cohorts), max(0, 0, *lags), self._shared.budget.waiting_bytes)

    async def follow(self, key: Hashable, filter: Filter, after: int, render: Callable[[], Render], sink: Sink) -> None:
        """Send every event that matches on positions above `after`, in order, until the sink is gone.

        Subscribers with the same key get the same texts, rendered by what `render` returned for the first of them.
        Raises Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then.
        """
        with self._feed.count_subscriber():
            if not self._cohorts:
                at = await checkpoint.read(self._log)
                if not self._cohorts:  # still none: nobody needs what lies before the head
                    self._check_identity(at)
                    self._reach(max(self.position, at.head))
            cohort = self._cohorts.get(key) or self._new_cohort(key, filter, render())
            reader = HistoryReader(self._log, filter, after, self.limits.advance_seconds)
            subscriber = Subscriber(cohort, reader, sink, self._shared.budget, self.limits)
            cohort.subscribers[subscriber] = None
            try:
                await subscriber.follow()
            finally:
                del cohort.subscribers[subscriber]
                if not cohort.subscribers:
                    del self._cohorts[key]
                    self._index.remove(cohort)
                    cohort.close()

    def _new_cohort(self, key: Hashable, filter: Filter, render: Render) -> Cohort:
        cohort = self._cohorts[key] = Cohort(key, render, self._shared)
        self._index.add(cohort, filter)
        return cohort

    async def run(self, queue: BatchQueue) -> None:
        """Send what arrives, for ever."""
        while True:
            try:
                await self._next(queue)
            except EventscopeError as error:
                logger.warning("live delivery waits for the log: %s", error)
                await asyncio.sleep(self.limits.retry_seconds)
            except Exception:
                logger.exception("live delivery failed; all subscribers continue from the log")
                self._fall_back()
                await asyncio.sleep(self.limits.retry_seconds)

    async def _next(self, queue: BatchQueue) -> None:
        try:
            batch = await queue.next(self.limits.advance_seconds / LOOKS)
        except Overflow:
            queue.clear()  # the next batch then shows a hole, which is filled from the store
        else:
            if batch is not None:
                await self._accept(batch)
            elif self._cohorts and self._feed.is_silent:
                at = await checkpoint.read(self._log)
                self._check_identity(at)
                await self._fill(at.head)
        await self._announce()

    async def _accept(self, batch: LiveBatch) -> None:
        if batch.head < self.position and not batch.events:
            # from an ingester that was late, or from a new log that replaced this one
            self._check_identity(await checkpoint.read(self._log))
        if self._cohorts:
            await self._fill(batch.previous)
            size = batch.size // max(1, len(batch.events))
            for event in batch.events:
                if event["_id"] > self.position:
                    await self._send(event, size)
        self._reach(max(self.position, batch.head))

    async def _send(self, event: EventDocument, size: int) -> None:
        for matches in self._index.matching(event):
            for cohort in matches.unclear:
                cohort.fall_back()  # MongoDB decides, in bounded time
            for cohort in matches.certain:
                await cohort.deliver(event, size)
                await self._pace.pause()
            await self._pace.pause()
        self._shared.position = event["_id"]

    def _check_identity(self, at: LogCheckpoint) -> None:
        """Have all subscribers read the log from its beginning if it was dropped and replaced."""
        before, self._identity = self._identity, at.identity or self._identity
        if before is not None and before != self._identity:
            logger.warning("the log was replaced: it ends at position %d, and %d was sent", at.head, self.position)
            self._shared.cache.clear()
            self._fall_back()
            self._reach(at.head)

    def _reach(self, position: int) -> None:
        self._shared.position = position
        self._hour = self._log.clock() // HOUR

    async def _fill(self, through: int) -> None:
        """Send what was missed, up to that position."""
        start = self.position
        if through <= start:
            self._reach(start)
            return
        if through - start > self.limits.most_filled or self._hour != self._log.clock() // HOUR:
            # a full hour has passed: what expired then depends on each filter, so each subscriber reads for itself
            self._fall_back()
            self._reach(through)
            return
        if self._break is None:
            self._break = start
            await self._signal(LiveBreak(start), start + 1, start)
        paging = Paging()
        while self.position < through:
            limit = paging.limit
            page = await pages.page(self._log, EVERYTHING, above=self.position, below=through + 1, limit=limit)
            paging.learn(page.events)
            for event in page.events:
                await self._send(event, size(event))
            if page.stopped_at is not None:
                self._shared.position = page.stopped_at
            elif len(page.events) < limit:
                self._shared.position = through
        self._reach(through)
        await self._signal(LiveStart(through), self._break + 1, through)
        self._break = None

    async def _signal(self, item: LiveBreak | LiveStart, mark: int, cursor: int) -> None:
        for cohort in tuple(self._cohorts.values()):
            await cohort.signal(item, mark, cursor)

    def _fall_back(self) -> None:
        """Have each subscriber read from the store what it was not sent."""
        self._break = None
        for cohort in self._cohorts.values():
            cohort.fall_back()

    async def _announce(self) -> None:
        now, step = asyncio.get_running_loop().time(), self.limits.advance_seconds / LOOKS
        if now - self._announced_at < step:
            return
        self._announced_at = now
        for cohort in tuple(self._cohorts.values()):
            if now - cohort.announced_at >= self.limits.advance_seconds - step:
                await cohort.announce(now, self.position)


@asynccontextmanager
async def open_hub(
    log: Log, feed: Feed, budget: SendBudget | None = None, limits: DeliveryLimits | None = None
) -> AsyncIterator[Hub]:
    """Live delivery for the length of the block."""
    hub = Hub(log, feed, budget or SendBudget(SUBSCRIBER_BYTES, TOTAL_BYTES), limits or DeliveryLimits())
    with feed.join() as queue:
        async with beside(hub.run(queue)):
            yield hub
