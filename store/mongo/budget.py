"""How many bytes of the log one operation may read, over all of its fields and all reads that run at once."""

import asyncio
import math
from typing import Final

from eventscope.errors import TooComplex, Unavailable
from eventscope.store.mongo.permits import Permits

AT_ONCE: Final = 4  # reads of one operation, up to 16 MiB each, that may be in memory before they are counted
LARGE: Final = 1024**2
MOST_IN_WAIT: Final = 2 * 1024**2


class ReadBudget:
    """At most `most` bytes; a total over `large` also needs one of the process's `permits`. `UNBOUNDED` needs none.

    While it waits for a permit, an operation may hold `most_in_wait` bytes; more are dropped and read again.
    """

    def __init__(
        self,
        most: float = math.inf,
        at_once: int = AT_ONCE,
        permits: Permits | None = None,
        large: int = LARGE,
        most_in_wait: int = MOST_IN_WAIT,
    ) -> None:
        self.total = 0
        self.most_in_wait = most_in_wait
        self._large = large
        self._at_once = at_once
        self._is_reading = False
        self._turns: asyncio.Semaphore | None = None
        self._most = most
        self._permits = permits
        self._entering: asyncio.Lock | None = None
        self._has_permit = False
        self._refusal: Unavailable | None = None

    @property
    def is_large(self) -> bool:
        """Whether so much was read that writing the answer takes noticeable time."""
        return self.total > self._large

    async def begin(self) -> None:
        """Wait for a turn to read something that may be large; call `end` once its documents are decoded."""
        if self._turns is None:  # few operations ever read two things at a time
            if not self._is_reading:
                self._is_reading = True
                return
            self._turns = asyncio.Semaphore(self._at_once - 1)
        await self._turns.acquire()

    def end(self) -> None:
        """Give the turn to the next read."""
        if self._turns is None:
            self._is_reading = False
        else:
            self._turns.release()

    def spend(self, size: int) -> bool:
        """Count `size` bytes as read. True if the operation must `enter` before it decodes them.

        TooComplex when the operation has read more than it may.
        """
        self.total += size
        if self.total > self._most:
            raise TooComplex(
                f"the operation reads more than {self._most:.0f} bytes; ask for smaller pages or fewer fields"
            )
        return self.total > self._large and not self._has_permit

    def restore(self, size: int) -> None:
        """Take back a `spend`: these bytes were dropped unread."""
        self.total -= size

    def must_wait(self, size: int) -> bool:
        """Whether the operation would have to wait for a permit, holding more bytes than it may while it waits.

        The caller then drops them, calls `enter`, and reads them again, so that waiting operations hold little memory
        however many they are.
        """
        return (
            size > self.most_in_wait
            and self._permits is not None
            and self._needs_permit(size)
            and self._permits.are_taken
        )

    async def enter(self, size: int = 0) -> None:
        """Wait for a permit, if the operation has none and `size` bytes more make it large.

        Unavailable when no permit came free in time, or when the operation is over.
        """
        if self._permits is None or not self._needs_permit(size):
            return
        if self._entering is None:  # made only when needed, since few operations ever need the lock
            self._entering = asyncio.Lock()
        async with self._entering:
            # reads of one operation arrive here together: the first takes the permit for all, or fails for all
            if self._refusal is None and not self._has_permit:
                await self._take(self._permits)
            if self._refusal is not None:
                raise self._refusal

    def leave(self) -> None:
        """End the operation: give its permit back, and let it take no other."""
        # set first: a read that still waits in `enter` must give back the permit that it may get later
        self._refusal = Unavailable("the operation is over")
        if self._has_permit and self._permits is not None:
            self._has_permit = False
            self._permits.leave()

    def _needs_permit(self, more: int) -> bool:
        return not self._has_permit and self.total + more > self._large

    async def _take(self, permits: Permits) -> None:
        try:
            await permits.take()
        except Unavailable as error:
            self._refusal = error  # for all of its reads: together they wait no longer than one would
            return
        if self._refusal is None:
            self._has_permit = True
        else:  # `leave` ran while this read was waiting, and gave nothing back
            permits.leave()


UNBOUNDED: Final = ReadBudget(at_once=2**31)
