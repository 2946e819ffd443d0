"""Long work in the event loop, interrupted at intervals so that other tasks can run."""

import asyncio
from typing import Final

SECONDS: Final = 0.01


class Pace:
    """The pace of one task."""

    __slots__ = ("_last_pause",)

    def __init__(self) -> None:
        self._last_pause = 0.0

    async def pause(self) -> None:
        """Let other tasks run, if the last pause was over `SECONDS` ago."""
        clock = asyncio.get_running_loop().time
        if clock() - self._last_pause > SECONDS:
            await asyncio.sleep(0)
            self._last_pause = clock()
