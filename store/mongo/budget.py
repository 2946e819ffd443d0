"""How many bytes one operation may read of the log, whatever it is made of and however much of it runs at once."""

import asyncio
import math
from typing import Final

from eventscope.errors import TooComplex, Unavailable
from eventscope.store.mongo.places import Places

AT_ONCE: Final = 4  # reads of one operation, of up to 16 MiB each, that are in memory and not yet counted
LARGE: Final = 1024**2
HELD: Final = 2 * 1024**2  # bytes that may lie there while their operation waits; more are read again after it


class ReadBudget:
    """So many bytes, and one of the process's `places` once they are many. What is read without a bound needs none."""

    def __init__(self, most: float = math.inf, at_once: int = AT_ONCE, places: Places | None = None) -> None:
        self.spent = 0
        self._at_once = at_once
        self._is_reading = False
        self._turns: asyncio.Semaphore | None = None
        self._most = most
        self._places = places
        self._entering: asyncio.Lock | None = None
        self._has_place = False
        self._refusal: Unavailable | None = None

    @property
    def is_large(self) -> bool:
        """Whether so much was read that writing it out takes time."""
        return self.spent > LARGE

    async def begin(self) -> None:
        """Wait for a turn to read something that may be large; once it is made into documents, `end` it."""
        if self._turns is None:  # few operations ever read two things at a time
            if not self._is_reading:
                self._is_reading = True
                return
            self._turns = asyncio.Semaphore(self._at_once - 1)
        await self._turns.acquire()

    def end(self) -> None:
        """Let another read begin."""
        if self._turns is None:
            self._is_reading = False
        else:
            self._turns.release()

    def spend(self, size: int) -> bool:
        """Count so many bytes as read; TooComplex when they are more than may be.

        Tells whether the operation has to `enter` before it makes anything of them.
        """
        self.spent += size
        if self.spent > self._most:
            raise TooComplex(
                f"the operation reads over {self._most:.0f} bytes; ask for smaller pages, or for fewer fields"
            )
        return self.spent > LARGE and not self._has_place

    def restore(self, size: int) -> None:
        """Count so many bytes as not read: they were let go of."""
        self.spent -= size

    def must_wait(self, size: int) -> bool:
        """Whether the operation has to wait for a place with so many bytes more, and they are too many to lie there.

        Then let go of them, `enter`, and read them again: however many wait, they hold little.
        """
        return size > HELD and self._places is not None and self._needs_place(size) and self._places.are_taken

    async def enter(self, size: int = 0) -> None:
        """Wait for a place, if the operation has none and is large with so many bytes more.

        Unavailable when none came free in time, or the operation is over.
        """
        if self._places is None or not self._needs_place(size):
            return
        if self._entering is None:  # few operations ever need one
            self._entering = asyncio.Lock()
        async with self._entering:
            if self._refusal is None and not self._has_place:
                await self._take(self._places)
            if self._refusal is not None:
                raise self._refusal

    def leave(self) -> None:
        """The operation is over: its place is for others, and it gets no other."""
        self._refusal = Unavailable("the operation is over")
        if self._has_place and self._places is not None:
            self._has_place = False
            self._places.leave()

    def _needs_place(self, more: int) -> bool:
        return not self._has_place and self.spent + more > LARGE

    async def _take(self, places: Places) -> None:
        try:
            await places.take()
        except Unavailable as error:
            self._refusal = error  # all of its reads wait as long as one
            return
        if self._refusal is None:
            self._has_place = True
        else:  # it ended while a read of its own went on waiting
            places.leave()


UNBOUNDED: Final = ReadBudget(at_once=2**31)
