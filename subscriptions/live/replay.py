"""Replaying the log at its own rhythm: with the original pauses between events, multiplied by a factor.

A replay ends where the log ended when it began. However long it pauses, it delivers nothing that has expired by then.
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
from eventscope.subscriptions.live.paging import MOST, Paging

MOST_LATE: Final = 1.0  # seconds of delay that are caught up on; a slower reader gets a slower replay
MICROSECONDS: Final = 1_000_000


@dataclass(slots=True)
class Rhythm:
    """When the next event is due. `speed` 2 is twice as fast as it happened; no pause exceeds `longest` seconds."""

    speed: float
    longest: float
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _latest: int | None = None
    _due_at: float = 0.0

    async def pause(self, timestamp: int) -> bool:
        """Wait until an event with this timestamp, in microseconds, is due; False if it was due already.

        Timestamps are only roughly in the order of the log: an earlier one causes no wait.
        """
        now = self.clock()
        if self._latest is None:
            self._latest, self._due_at = timestamp, now
        elapsed = max(0, timestamp - self._latest) / MICROSECONDS
        self._latest = max(self._latest, timestamp)
        self._due_at = max(self._due_at, now - MOST_LATE) + min(elapsed / self.speed, self.longest)
        wait = self._due_at - now
        if wait <= 0:
            return False
        await self.sleep(wait)
        return True


async def replay(
    log: Log, filter: Filter, after: int, head: int, rhythm: Rhythm | None = None, most_at_once: int = MOST
) -> AsyncGenerator[Item, None]:
    """Every matching event after one position, through another, in order; without a rhythm, as fast as it is read.

    At most `most_at_once` events are read together. An `Advance` follows where the last positions do not match. Raises
    Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then. WrongLog when the
    log was replaced meanwhile.
    """
    cursor, announced_position, hour, gap_through = after, after, -1, 0
    name = (await checkpoint.read(log)).identity
    paging = Paging(most=most_at_once)
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
            raise WrongLog("the log was replaced by another during the replay: replay the new one from its beginning")
        is_stale = False
        for event in page.events:
            if rhythm is not None and await rhythm.pause(event["timestamp"]) and log.clock() // HOUR != hour:
                is_stale = True  # the rest of the page may have expired during the pause
                break
            yield event
            cursor = announced_position = event["_id"]
        if is_stale:
            continue
        if page.stopped_at is not None:
            cursor = page.stopped_at
        elif len(page.events) < limit:
            cursor = head
        if announced_position < cursor:
            yield Advance(cursor)
            announced_position = cursor
