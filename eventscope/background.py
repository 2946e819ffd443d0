"""Work that goes on beside other work, and has ended for certain once that has."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

CANCEL_SECONDS: Final = 1.0


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their ends, however those turn out.

    Each is cancelled until it ends, for a cancellation can get lost: `asyncio.wait_for` up to Python 3.11 drops one
    that comes in the moment in which what it waits for is done (python/cpython#86296), and PyMongo and nats-py use it.
    """
    while going := [task for task in tasks if not task.done()]:
        for task in going:
            task.cancel()
        await asyncio.wait(going, timeout=CANCEL_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asyncio reports exceptions that were never retrieved


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, wait for their ends, and raise what the first of them has failed with, if one has."""
    await cancel(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """The work goes on for the length of the block, which raises what the work has failed with."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end(task)
