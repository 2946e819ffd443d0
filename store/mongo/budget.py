"""How many bytes of the log one operation may read, over all of its fields and all reads that run at once."""

import asyncio
import math
from typing import Final

from eventscope.errors import TooComplex, Unavailable
from eventscope.store.mongo.slots import Slots

AT_ONCE: Final = 4  # reads of one operation, up to 16 MiB each, that may be in memory before they are counted
LARGE: Final = 1024**2
MOST_IN_WAIT: Final = 2 * 1024**2


class ReadBudget:
    """At most `most` bytes; a total over `large` also needs one of the process's `slots`. `UNBOUNDED` needs no slot.

    While it waits for a slot, an operation may hold `most_in_wait` bytes; more are dropped and read again.
    """

    def __init__(
        self,
        most: float = math.inf,
        at_once: int = AT_ONCE,
        slots: Slots | None = None,
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
        self._slots = slots
        self._entering: asyncio.Lock | None = None
        self._has_slot = False
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
        return self.total > self._large and not self._has_slot

    def restore(self, size: int) -> None:
        """Take back a `spend`: these bytes were dropped unread."""
        self.total -= size

    def must_wait(self, size: int) -> bool:
        """Whether the operation would have to wait for a slot, holding more bytes than it may while it waits.

        The caller then drops them, calls `enter`, and reads them again, so that waiting operations hold little memory
        however many they are.
        """
        return size > self.most_in_wait and self._slots is not None and self._needs_slot(size) and self._slots.are_taken

    async def enter(self, size: int = 0) -> None:
        """Wait for a slot, if the operation has none and `size` bytes more make it large.

        Unavailable when no slot came free in time, or when the operation is over.
        """
        if self._slots is None or not self._needs_slot(size):
            return
        if self._entering is None:  # made only when needed, since few operations ever need the lock
            self._entering = asyncio.Lock()
        async with self._entering:
            # reads of one operation arrive here together: the first takes the slot for all, or fails for all
            if self._refusal is None and not self._has_slot:
                await self._take(self._slots)
            if self._refusal is not None:
                raise self._refusal

    def leave(self) -> None:
        """End the operation: give its slot back, and let it take no other."""
        # set first: a read that still waits in `enter` must give back the slot that it may get later
        self._refusal = Unavailable("the operation is over")
        if self._has_slot and self._slots is not None:
            self._has_slot = False
            self._slots.leave()

    def _needs_slot(self, more: int) -> bool:
        return not self._has_slot and self.total + more > self._large

    async def _take(self, slots: Slots) -> None:
        try:
            await slots.take()
        except Unavailable as error:
            self._refusal = error  # for all of its reads: together they wait no longer than one would
            return
        if self._refusal is None:
            self._has_slot = True
        else:  # `leave` ran while this read was waiting, and gave nothing back
            slots.leave()


UNBOUNDED: Final = ReadBudget(at_once=2**31)
