"""How many operations of one process may hold much of the log at once. The others wait their turn, in order."""

import asyncio
from typing import Final

from eventscope.errors import Unavailable

AT_ONCE: Final = 2
SECONDS: Final = 5.0


class Places:
    """So many places; who waits longer than `seconds` for one is told that there is none."""

    def __init__(self, count: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._count = count
        self._seconds = seconds
        self._free = asyncio.Semaphore(count)

    @property
    def are_taken(self) -> bool:
        """Whether who wants one now has to wait for it."""
        return self._free.locked()

    async def take(self) -> None:
        """Wait for a place; Unavailable when none came free in time. Whoever has one must `leave` it."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable(
                f"{self._count} large answers are being made, and this one waited {self._seconds:g} seconds;"
                " ask again later, or for less at once"
            ) from None

    def leave(self) -> None:
        """Let the next one in."""
        self._free.release()
