"""Long work in the event loop, taken apart by time: others get their turn in between."""

import asyncio
from typing import Final

SECONDS: Final = 0.01


class Pace:
    """That of one worker."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = 0.0

    async def pause(self) -> None:
        """Let others run, if they were not let for a while."""
        clock = asyncio.get_running_loop().time
        if clock() - self._began > SECONDS:
            await asyncio.sleep(0)
            self._began = clock()
