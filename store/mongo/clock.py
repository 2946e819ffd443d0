"""MongoDB's clock, by which everything expires, as a process knows it between two looks at it.

Events are deleted by MongoDB's clock, so whatever decides on expiry goes by it too. Between two looks a clock that
nobody sets carries on from there: setting the wall clock of a process's machine changes no answer.
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
RETRY_SECONDS: Final = 0.5  # until it is known for the first time
ASK_SECONDS: Final = 2.0
LOOKS: Final = 2  # the first may have to wait for a connection, and says little then
PRECISION: Final = 1000  # MongoDB gives its time in milliseconds

# where the system has it, one that goes on while the machine sleeps
STEADY: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

logger = logging.getLogger(__name__)


def steady() -> int:
    """Microseconds since some moment in the past, whatever is done to the wall clock."""
    return time.clock_gettime_ns(STEADY) // 1000


class MongoClock:
    """Gives MongoDB's time in microseconds since 1970; Unavailable until MongoDB has told it once.

    `wall` is the clock of this machine, which decides nothing: it is only compared.
    """

    def __init__(self, wall: moment.Clock | None = None) -> None:
        self._wall = wall or (lambda: moment.now())
        self._offset: int | None = None

    def __call__(self) -> int:
        """The present moment by MongoDB's clock."""
        if self._offset is None:
            raise Unavailable("MongoDB has not told the time yet")
        return steady() + self._offset

    @property
    def is_set(self) -> bool:
        """Whether MongoDB has told the time."""
        return self._offset is not None

    @property
    def ahead(self) -> float:
        """Seconds by which MongoDB's clock is ahead of the clock of this machine."""
        return (self() - self._wall()) / 1_000_000

    def learn(self, before: int, time: int, after: int) -> None:
        """MongoDB gave `time` at some moment between the steady times `before` and `after`."""
        low, high = time - after, time + PRECISION - before
        # what is known already stands as long as it may be true, so that time does not run back for a slow answer
        self._offset = (low + high) // 2 if self._offset is None else min(max(self._offset, low), high)


async def synchronise(mongo: Mongo, clock: MongoClock) -> None:
    """Ask MongoDB for the time; Unavailable or QuestionTimedOut when it does not answer."""
    with translate_errors(ASK_SECONDS):
        for _ in range(LOOKS):
            before = steady()
            hello = await mongo.database.command("hello")
            clock.learn(before, moment.of(hello["localTime"].replace(tzinfo=UTC)), steady())


@asynccontextmanager
async def kept(mongo: Mongo, clock: moment.Clock) -> AsyncIterator[None]:
    """Keep the clock right for the length of the block, if it is MongoDB's."""
    if not isinstance(clock, MongoClock):
        yield
        return
    async with beside(_keep(mongo, clock)):
        yield


async def _keep(mongo: Mongo, clock: MongoClock) -> None:
    while True:
        try:
            await synchronise(mongo, clock)
        except EventscopeError as error:  # whoever asks MongoDB for anything else hears of it
            logger.debug("MongoDB did not tell the time: %s", error)
        await asyncio.sleep(REFRESH_SECONDS if clock.is_set else RETRY_SECONDS)
