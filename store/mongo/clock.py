"""MongoDB's clock, by which everything expires, as each process estimates it.

MongoDB deletes events by its own clock, so every decision on expiry uses that clock too. Between two readings of it a
steady clock carries on: setting the wall clock of a process's machine changes no answer.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Final

from eventscope.background import beside
from eventscope.errors import EventscopeError, Unavailable
from eventscope.store.mongo.driver import Mongo
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.values import moment

REFRESH_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.5  # until the time is known
ASK_SECONDS: Final = 2.0
READINGS: Final = 2  # the first may have to wait for a connection, and is imprecise then
PRECISION: Final = 1000  # MongoDB gives its time in milliseconds

# a clock that runs on while the machine sleeps, where the system has one
STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

logger = logging.getLogger(__name__)


def steady() -> int:
    """Microseconds since some fixed moment, unaffected by changes to the wall clock."""
    return time.clock_gettime_ns(STEADY) // 1000


class MongoClock:
    """MongoDB's time in microseconds since 1970; Unavailable until MongoDB has answered once.

    `wall` is this machine's clock. It decides nothing: it is only compared with MongoDB's. Every `refresh_seconds`,
    MongoDB is asked again.
    """

    def __init__(self, wall: moment.Clock | None = None, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self.refresh_seconds = refresh_seconds
        self._wall = wall or (lambda: moment.now())
        self._offset: int | None = None

    def __call__(self) -> int:
        """The present moment by MongoDB's clock."""
        if self._offset is None:
            raise Unavailable("the time is not known yet: MongoDB has not answered")
        return steady() + self._offset

    @property
    def is_set(self) -> bool:
        """Whether MongoDB's time is known."""
        return self._offset is not None

    @property
    def ahead(self) -> float:
        """Seconds by which MongoDB's clock is ahead of the clock of this machine."""
        return (self() - self._wall()) / 1_000_000

    def learn(self, before: int, time: int, after: int) -> None:
        """Adjust to MongoDB's `time`, read at some moment between the steady times `before` and `after`."""
        low, high = time - after, time + PRECISION - before
        # keep the present offset while this reading allows it, so that a slow answer does not move time backwards
        self._offset = (low + high) // 2 if self._offset is None else min(max(self._offset, low), high)


async def set_clock(mongo: Mongo, clock: MongoClock) -> None:
    """Set the clock by MongoDB's; Unavailable or QuestionTimedOut when MongoDB does not answer."""
    with translate_errors(ASK_SECONDS):
        for _ in range(READINGS):
            before = steady()
            hello = await mongo.database.command("hello")
            clock.learn(before, moment.of(hello["localTime"].replace(tzinfo=UTC)), steady())


@asynccontextmanager
async def keep_set(mongo: Mongo, clock: moment.Clock) -> AsyncIterator[None]:
    """Keep the clock set for the length of the block, if it is a MongoClock."""
    if not isinstance(clock, MongoClock):
        yield
        return
    async with beside(_keep(mongo, clock)):
        yield


async def _keep(mongo: Mongo, clock: MongoClock) -> None:
    while True:
        try:
            await set_clock(mongo, clock)
        except EventscopeError as error:  # any other use of MongoDB reports it
            logger.debug("MongoDB's time could not be read: %s", error)
        await asyncio.sleep(clock.refresh_seconds if clock.is_set else RETRY_SECONDS)
