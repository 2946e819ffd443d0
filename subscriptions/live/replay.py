"""Replaying the log at its own rhythm: each event as long after the one before as it happened then, times a factor.

A replay ends where the log ended when it began. Whatever was pausing, nothing that has expired by then is delivered.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from eventscope.errors import WrongLog
from eventscope.store.events import pages
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.stats import expiry
from eventscope.store.values.moment import HOUR
from eventscope.subscriptions.live.history import Advance, ExpiredRange, Item
from eventscope.subscriptions.live.paging import Paging

MOST_LATE: Final = 1.0  # seconds that are made up for; who reads slower than that plays slower
MICROSECONDS: Final = 1_000_000


@dataclass(slots=True)
class Rhythm:
    """When what comes next is due. `speed` 2 is twice as fast as it happened; no pause is longer than `longest`."""

    speed: float
    longest: float
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _reached: int | None = None
    _due: float = 0.0

    async def pause(self, timestamp: int) -> bool:
        """Wait until what happened then is due; tells whether there was anything to wait for.

        Timestamps are nearly, not exactly, in the order of the log: time never runs back here.
        """
        now = self.clock()
        if self._reached is None:
            self._reached, self._due = timestamp, now
        passed = max(0, timestamp - self._reached) / MICROSECONDS
        self._reached = max(self._reached, timestamp)
        self._due = max(self._due, now - MOST_LATE) + min(passed / self.speed, self.longest)
        left = self._due - now
        if left <= 0:
            return False
        await self.sleep(left)
        return True


async def replay(
    log: Log, filter: Filter, after: int, head: int, rhythm: Rhythm | None = None
) -> AsyncGenerator[Item, None]:
    """Every event that the filter means after one position up to another, in order, as fast as it is read without a
    rhythm; then, if that was not the last of these positions, word that it is passed.

    Raises Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then. WrongLog
    when the log was begun anew meanwhile.
    """
    cursor, told, hour, gap_through = after, after, -1, 0
    name = (await checkpoint.read(log)).identity
    paging = Paging()
    while cursor < head:
        if (now := log.clock() // HOUR) != hour:  # events expire at full hours only
            hour, gap_through = now, await expiry.expired_through(log, filter)
        if gap_through > cursor:
            yield ExpiredRange(cursor, min(gap_through, head))
            gap_through = 0
        limit = paging.limit
        page = await pages.page(log, filter, above=cursor, below=head + 1, limit=limit)
        paging.learn(page.events)
        before, name = name, (await checkpoint.read(log)).identity
        if before not in (None, name):
            raise WrongLog("the log was begun anew while it was replayed: replay the new one from its beginning")
        stopped = False
        for event in page.events:
            if rhythm is not None and await rhythm.pause(event["timestamp"]) and log.clock() // HOUR != hour:
                stopped = True  # what was read may have expired meanwhile
                break
            yield event
            cursor = told = event["_id"]
        if stopped:
            continue
        if page.stopped_at is not None:
            cursor = page.stopped_at
        elif len(page.events) < limit:
            cursor = head
        if told < cursor:
            yield Advance(cursor)
            told = cursor
