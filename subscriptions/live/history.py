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

ADVANCE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class LiveStart:
    """All that was in the log is delivered; what follows is live."""

    position: int


@dataclass(frozen=True, slots=True)
class LiveBreak:
    """Live delivery has a hole here, or the reader was too slow for it; the log is read from this position."""

    position: int


@dataclass(frozen=True, slots=True)
class ExpiredRange:
    """After one position, through another, events that may have matched have expired and cannot be delivered."""

    after: int
    through: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Nothing matched up to this position: a cursor to resume from."""

    position: int


Item: TypeAlias = EventDocument | LiveStart | LiveBreak | ExpiredRange | Advance


def position_after(item: Item) -> int:
    """The position up to which the log is delivered with the item: resuming from it misses nothing."""
    match item:
        case ExpiredRange(after=position):  # events that are kept longer lie within the range, and come next
            return position
        case LiveStart(position) | LiveBreak(position) | Advance(position):
            return position
        case _:
            return item["_id"]


class HistoryReader:
    """One subscriber's cursor, and the reading of the log from there.

    An `Advance` comes at most every `advance_seconds`.
    """

    def __init__(self, log: Log, filter: Filter, after: int, advance_seconds: float = ADVANCE_SECONDS) -> None:
        self.cursor = after
        self._log = log
        self._filter = filter
        self._page: deque[EventDocument] = deque()
        self._advance_seconds = advance_seconds
        self._paging = Paging()
        self._is_released = False
        self._announced_position = after  # the position that the subscriber knows of
        self._announced_at = asyncio.get_running_loop().time()
        self._identity = log.identity.name  # of the log that `after` is a position in
        self._is_another_log = False
        self._gap_through = after
        self._gap_hour = -1

    async def read(self, listen: Callable[[], None]) -> AsyncIterator[Item]:
        """From the cursor to the end of the log.

        `listen` is called just before each look for that end, so that what is sent live from then on leaves no hole.
        If the log was dropped and replaced, the new one is read from its beginning, after `LiveBreak(0)`.
        """
        head = await self._head(listen)
        if self._is_another_log:
            # its positions belong to other events than those that were delivered
            self._is_another_log = False
            self.cursor = self._announced_position = 0
            self._gap_hour = -1
            yield LiveBreak(0)
        while self.cursor < head:
            if (gap := await self._gap()) is not None:
                yield gap
            limit = self._paging.limit
            page = await pages.page(self._log, self._filter, above=self.cursor, below=head + 1, limit=limit)
            full, stopped = len(page.events) == limit, page.stopped_at
            self._paging.learn(page.events)
            self._page, self._is_released = deque(page.events), False
            del page  # so that `release` frees its memory
            while self._page:
                event = self._page.popleft()
                self._move(event["_id"])
                yield event
            if self._is_released:
                continue
            if stopped is not None:
                self.cursor = stopped
                if self._is_advance_due():
                    self._move(stopped)
                    yield Advance(stopped)
            elif not full:
                self.cursor = head
                head = await self._head(listen)
        if self._is_another_log:
            async for item in self.read(listen):
                yield item

    def live_break(self) -> LiveBreak:
        """The signal that reading continues: from the beginning of the log, if it is another one by now."""
        is_another = self._identity is not None and self._log.identity.name != self._identity
        return LiveBreak(0 if is_another else self.cursor)

    def release(self) -> None:
        """Drop the events that were read ahead, to be read again: a slow subscriber must hold no memory."""
        if self._page:
            self._page.clear()
            self._is_released = True

    def _move(self, position: int) -> None:
        self.cursor = self._announced_position = position
        self._announced_at = asyncio.get_running_loop().time()

    def _is_advance_due(self) -> bool:
        late = asyncio.get_running_loop().time() - self._announced_at >= self._advance_seconds
        return late and self.cursor > self._announced_position

    async def _head(self, listen: Callable[[], None]) -> int:
        listen()
        at = await checkpoint.read(self._log)
        before, self._identity = self._identity, at.identity or self._identity
        self._is_another_log |= before is not None and self._identity != before
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
