"""Tasks that run beside other work and are sure to have ended when it ends."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

CANCEL_SECONDS: Final = 1.0


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until all have ended; their exceptions are dropped.

    Each is cancelled again until it ends, since a cancellation can get lost: `asyncio.wait_for` up to Python 3.11 drops
    one that arrives just as the awaited task ends (python/cpython#86296), and PyMongo and nats-py use `wait_for`.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=CANCEL_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # otherwise asyncio would report an exception that was never retrieved


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, wait until all have ended, and raise the exception of the first that failed."""
    await cancel(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run the work as a task for the length of the block; at the end, raise its exception if it failed."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end(task)
