"""One subscriber's history: the log in pages, from a cursor to its end, and the signals that go with its events.

Memory is bounded and nothing is dropped silently: a slow client is a client that reads history. What is delivered is
exactly what the log holds after the cursor, in order (I5); the live part is in `hub`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventscope.store.events import pages
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.stats import expiry
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import HOUR
from eventscope.subscriptions.live.paging import Paging

CHECKPOINT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class LiveStart:
    """All that was in the log is delivered; what follows is live."""

    position: int


@dataclass(frozen=True, slots=True)
class LiveBreak:
    """Live delivery has a hole here, or the reader was too slow for it; the log is read on from this position."""

    position: int


@dataclass(frozen=True, slots=True)
class ExpiredRange:
    """Events that the filter may mean, after one position up to another, have expired and cannot be delivered."""

    after: int
    through: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Nothing matched up to this position: a cursor to resume from."""

    position: int


Item: TypeAlias = EventDocument | LiveStart | LiveBreak | ExpiredRange | Advance


def position_after(item: Item) -> int:
    """Up to which position the log was delivered with the item: who resumes from there misses nothing."""
    match item:
        case ExpiredRange(after=position):  # what is kept longer lies within the gap, and comes next
            return position
        case LiveStart(position) | LiveBreak(position) | Advance(position):
            return position
        case _:
            return item["_id"]


class HistoryReader:
    """Where one subscriber is, and what it reads of the log."""

    def __init__(self, log: Log, filter: Filter, after: int) -> None:
        self.cursor = after
        self._log = log
        self._filter = filter
        self._page: deque[EventDocument] = deque()
        self._paging = Paging()
        self._released = False
        self._told = after  # up to where the subscriber knows its cursor
        self._told_at = asyncio.get_running_loop().time()
        self._identity = log.identity.name  # of the log that `after` is a position in
        self._begun_anew = False
        self._gap_through = after
        self._gap_hour = -1

    async def history(self, listen: Callable[[], None]) -> AsyncIterator[Item]:
        """From the cursor to the end of the log.

        Each time before that end is looked for, `listen` is called: what is heard from then on joins without a hole.
        If the log was dropped and begun anew, the new one is read from its beginning, after `FellBehind(0)`.
        """
        head = await self._head(listen)
        if self._begun_anew:
            # its positions mean other events than those that were delivered
            self._begun_anew = False
            self.cursor = self._told = 0
            self._gap_hour = -1
            yield LiveBreak(0)
        while self.cursor < head:
            if (gap := await self._gap()) is not None:
                yield gap
            limit = self._paging.limit
            page = await pages.page(self._log, self._filter, above=self.cursor, below=head + 1, limit=limit)
            full, stopped = len(page.events) == limit, page.stopped_at
            self._paging.learn(page.events)
            self._page, self._released = deque(page.events), False
            del page
            while self._page:
                yield self.deliver(self._page.popleft())
            if self._released:
                continue
            if stopped is not None:
                self.cursor = stopped
                if self.should_tell():
                    yield self.tell()
            elif not full:
                self.cursor = head
                head = await self._head(listen)
        if self._begun_anew:
            async for item in self.history(listen):
                yield item

    def fell_behind(self) -> LiveBreak:
        """Say that it goes on from the log: from its beginning, if the log is another one by now."""
        is_another = self._identity is not None and self._log.identity.name != self._identity
        return LiveBreak(0 if is_another else self.cursor)

    def release(self) -> None:
        """Give up what was read ahead: whoever is too slow for it has it read again, and holds no memory meanwhile."""
        if self._page:
            self._page.clear()
            self._released = True

    def deliver(self, event: EventDocument) -> EventDocument:
        """Count the event as delivered."""
        self.cursor = self._told = event["_id"]
        self._told_at = asyncio.get_running_loop().time()
        return event

    def should_tell(self) -> bool:
        """Whether the subscriber has not heard of its cursor for too long."""
        late = asyncio.get_running_loop().time() - self._told_at >= CHECKPOINT_SECONDS
        return late and self.cursor > self._told

    def tell(self) -> Advance:
        """Tell the cursor."""
        self._told = self.cursor
        self._told_at = asyncio.get_running_loop().time()
        return Advance(self.cursor)

    async def _head(self, listen: Callable[[], None]) -> int:
        listen()
        at = await checkpoint.read(self._log)
        known, self._identity = self._identity, at.identity or self._identity
        self._begun_anew |= known is not None and self._identity != known
        return at.head

    async def _gap(self) -> ExpiredRange | None:
        hour = self._log.clock() // HOUR  # events expire at full hours only
        if hour != self._gap_hour:
            self._gap_hour = hour
            self._gap_through = await expiry.expired_through(self._log, self._filter)
        if self._gap_through <= self.cursor:
            return None
        gap = ExpiredRange(self.cursor, self._gap_through)
        self._gap_through = 0
        return gap
