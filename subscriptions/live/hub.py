"""Live delivery to all subscribers of one process: one loop over the live feed, one cohort for those who ask the same.

    async with delivering(log, feed, room) as hub:
        await hub.follow(key, filter, after, render, sink)     # one subscriber, until its sink is gone
        hub.state()                                            # HubState(count, cohorts, slowest_lag_events)

The hub knows up to which position the log was sent. A batch that begins behind it leaves a hole, which is read from the
store, once for all: they hear `FellBehind`, what was missed, and `CaughtUp`. Where that would take long, everyone reads
for himself, as slow subscribers do. A subscriber joins where it stands: it hears what is sent from before it looked for
the end of the log, and leaves out what it has read by then.
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
from eventscope.subscriptions.live import history
from eventscope.subscriptions.live.cohort import Cohort, Render
from eventscope.subscriptions.live.feed import Feed, Inbox, Overflow
from eventscope.subscriptions.live.filter_index import FilterIndex
from eventscope.subscriptions.live.history import HistoryReader, LiveBreak, LiveStart
from eventscope.subscriptions.live.live_batch import LiveBatch
from eventscope.subscriptions.live.paging import Paging, size
from eventscope.subscriptions.live.render_cache import RenderCache
from eventscope.subscriptions.live.sink import Sink
from eventscope.subscriptions.live.subscriber import SendBudget, Subscriber
from eventscope.subscriptions.observer import FeedObserver

ONE: Final = 1024**2
ALL: Final = 64 * 1024**2
REMEMBERED: Final = 16 * 1024**2  # bytes of results that were written out lately
MOST_FILLED: Final = 10_000  # events of a hole that one reads for all
RETRY_SECONDS: Final = 1.0
LOOKS: Final = 5  # at the cohorts, in the time in which each must hear of its place

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HubState:
    """How live delivery goes on just now."""

    count: int
    """Subscriptions that follow the log, with those that share nothing."""
    cohorts: int
    """How many different ones there are among those that share."""
    slowest_lag_events: int
    """How many positions of the log the slowest of them is behind."""
    waiting_bytes: int
    """What waits for those that are slow."""


class Hub:
    """Sends the log to cohorts. Make it with `open_hub`."""

    def __init__(self, log: Log, feed: Feed, room: SendBudget) -> None:
        self.position = 0
        """Up to where the log was sent."""
        self._log = log
        self._feed = feed
        self._room = room
        self._texts = RenderCache(REMEMBERED)
        self._cohorts: dict[Hashable, Cohort] = {}
        self._index: FilterIndex[Cohort] = FilterIndex()
        self._identity: str | None = None  # of the log, once it was looked at
        self._hour = 0  # in which nothing was missing
        self._behind: int | None = None  # from where on it was said that something is missing
        self._told = 0.0
        self._pace = Pace()

    @property
    def observer(self) -> FeedObserver:
        """Hears what is delivered."""
        return self._feed.observer

    def state(self) -> HubState:
        """How it goes on."""
        lags = [self.position - member.position for one in self._cohorts.values() for member in one.members]
        return HubState(self._feed.followers, len(self._cohorts), max(0, 0, *lags), self._room.held)

    async def follow(self, key: Hashable, filter: Filter, after: int, render: Callable[[], Render], sink: Sink) -> None:
        """Send every event that the filter means on positions above `after`, in order, until the sink is gone.

        Who gives the same key gets the same texts, by what `render` gave for the first of them.
        Raises Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then.
        """
        with self._feed.followed():
            if not self._cohorts:
                at = await checkpoint.read(self._log)
                if not self._cohorts:  # nobody has to be sent what lies before
                    self._fall_back(at)
                    self._reach(max(self.position, at.head))
            cohort = self._cohorts.get(key) or self._new(key, filter, render())
            member = Subscriber(cohort, HistoryReader(self._log, filter, after), sink, self._room)
            cohort.members[member] = None
            try:
                await member.follow()
            finally:
                del cohort.members[member]
                if not cohort.members:
                    del self._cohorts[key]
                    self._index.remove(cohort)
                    cohort.close()

    def _new(self, key: Hashable, filter: Filter, render: Render) -> Cohort:
        cohort = self._cohorts[key] = Cohort(key, render, self, self._room, self._texts)
        self._index.add(cohort, filter)
        return cohort

    async def run(self, inbox: Inbox) -> None:
        """Send what comes, for ever."""
        while True:
            try:
                await self._next(inbox)
            except EventscopeError as error:
                logger.warning("live delivery waits for the log: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("live delivery stumbled; everyone reads on from the log")
                self._miss()
                await asyncio.sleep(RETRY_SECONDS)

    async def _next(self, inbox: Inbox) -> None:
        try:
            batch = await inbox.next(history.CHECKPOINT_SECONDS / LOOKS)
        except Overflow:
            inbox.clear()  # which leaves a hole that the next batch shows
        else:
            if batch is not None:
                await self._take(batch)
            elif self._cohorts and self._feed.silent:
                at = await checkpoint.read(self._log)
                self._fall_back(at)
                await self._fill(at.head)
        await self._tell()

    async def _take(self, batch: LiveBatch) -> None:
        if batch.head < self.position and not batch.events:
            # of an ingester that was late, or of a log that was begun anew
            self._fall_back(await checkpoint.read(self._log))
        if self._cohorts:
            await self._fill(batch.previous)
            size = batch.size // max(1, len(batch.events))
            for event in batch.events:
                if event["_id"] > self.position:
                    await self._send(event, size)
        self._reach(max(self.position, batch.head))

    async def _send(self, event: EventDocument, size: int) -> None:
        for found in self._index.matching(event):
            for cohort in found.unclear:
                cohort.miss()  # MongoDB can tell, in bounded time
            for cohort in found.certain:
                await cohort.event(event, size)
                await self._pace.pause()
            await self._pace.pause()
        self.position = event["_id"]

    def _fall_back(self, at: LogCheckpoint) -> None:
        """Have everyone read the log from its beginning if it was dropped and begun anew."""
        known, self._identity = self._identity, at.identity or self._identity
        if known is not None and known != self._identity:
            logger.warning("the log was begun anew and ends at position %d, where %d was sent", at.head, self.position)
            self._texts.clear()
            self._miss()
            self._reach(at.head)

    def _reach(self, position: int) -> None:
        self.position = position
        self._hour = self._log.clock() // HOUR

    async def _fill(self, through: int) -> None:
        """Send what was missed, up to that position."""
        start = self.position
        if through <= start:
            self._reach(start)
            return
        if through - start > MOST_FILLED or self._hour != self._log.clock() // HOUR:
            # what expired meanwhile, at a full hour, each must be told by what it asked for
            self._miss()
            self._reach(through)
            return
        if self._behind is None:
            self._behind = start
            await self._signal(LiveBreak(start), start + 1, start)
        paging = Paging()
        while self.position < through:
            limit = paging.limit
            page = await pages.page(self._log, EVERYTHING, above=self.position, below=through + 1, limit=limit)
            paging.learn(page.events)
            for event in page.events:
                await self._send(event, size(event))
            if page.stopped_at is not None:
                self.position = page.stopped_at
            elif len(page.events) < limit:
                self.position = through
        self._reach(through)
        await self._signal(LiveStart(through), self._behind + 1, through)
        self._behind = None

    async def _signal(self, item: LiveBreak | LiveStart, mark: int, cursor: int) -> None:
        for cohort in tuple(self._cohorts.values()):
            await cohort.signal(item, mark, cursor)

    def _miss(self) -> None:
        self._behind = None
        for cohort in self._cohorts.values():
            cohort.miss()

    async def _tell(self) -> None:
        now, step = asyncio.get_running_loop().time(), history.CHECKPOINT_SECONDS / LOOKS
        if now - self._told < step:
            return
        self._told = now
        for cohort in tuple(self._cohorts.values()):
            if now - cohort.told_at >= history.CHECKPOINT_SECONDS - step:
                await cohort.tell(now, self.position)


@asynccontextmanager
async def open_hub(log: Log, feed: Feed, room: SendBudget | None = None) -> AsyncIterator[Hub]:
    """Live delivery for the length of the block."""
    hub = Hub(log, feed, room or SendBudget(ONE, ALL))
    with feed.join() as inbox:
        async with beside(hub.run(inbox)):
            yield hub
