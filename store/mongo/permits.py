"""Permits for operations that hold much of the log in memory: few per process, taken in order of arrival."""

import asyncio
from typing import Final

from eventscope.errors import Unavailable

AT_ONCE: Final = 2
SECONDS: Final = 5.0


class Permits:
    """`count` permits. An operation waits at most `seconds` for one."""

    def __init__(self, count: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._count = count
        self._seconds = seconds
        self._free = asyncio.Semaphore(count)

    @property
    def are_taken(self) -> bool:
        """Whether the next `take` has to wait."""
        return self._free.locked()

    async def take(self) -> None:
        """Wait for a permit; Unavailable when none came free in time. The caller must `leave` it."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise Unavailable(
                f"{self._count} large answers are being prepared, and this one waited {self._seconds:g} seconds;"
                " try again later, or ask for less at once"
            ) from None

    def leave(self) -> None:
        """Give the permit to the next operation that waits."""
        self._free.release()
