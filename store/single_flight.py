"""Coalesces concurrent reads: callers share one, and nobody gets the result of one that began before the call."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Reads of one thing, one after another. All calls during a read share the next one.

    They cannot share the read that is running: it may have begun before a change that the caller already knows of, and
    a page would then be answered from an older state than its client has seen.
    """

    def __init__(self) -> None:
        self._current: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    def join(self, read: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        """The result of a read that begins after this call. Cancelling one caller does not affect the others."""
        if self._next is None or self._next.done():  # done only if it was cancelled before it began
            self._next = asyncio.create_task(self._turn(self._current, read))
            self._next.add_done_callback(_retrieve)
        return asyncio.shield(self._next)

    async def _turn(self, before: asyncio.Task[T] | None, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if before is not None:
            await asyncio.wait([before])
        # from here on the read is running: later calls need the next one
        self._current, self._next = self._next, None
        return await read()


def _retrieve(task: asyncio.Task[Any]) -> None:
    # An exception belongs to the callers. If all are cancelled, retrieve it, or asyncio logs it as never retrieved.
    if not task.cancelled():
        task.exception()
