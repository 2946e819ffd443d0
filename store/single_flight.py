"""One reading for all who ask at the same time, and none that is older than its question."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Readings of one thing, one after the other. Who asks while one goes on shares the next with all who do."""

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None
        self._coming: asyncio.Task[T] | None = None

    def ask(self, read: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        """What a reading gives that begins after this moment. Who stops waiting stops nobody else."""
        if self._coming is None or self._coming.done():  # the latter only if it was cancelled before it began
            self._coming = asyncio.create_task(self._turn(self._running, read))
            self._coming.add_done_callback(_heard)
        return asyncio.shield(self._coming)

    async def _turn(self, before: asyncio.Task[T] | None, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if before is not None:
            await asyncio.wait([before])
        # whoever asks from here on may know more than this reading finds
        self._running, self._coming = self._coming, None
        return await read()


def _heard(task: asyncio.Task[Any]) -> None:
    # an error is the askers', and they may all be gone
    if not task.cancelled():
        task.exception()
