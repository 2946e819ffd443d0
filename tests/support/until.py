"""How tests wait for what happens elsewhere: until a condition holds, with a deadline, never for a fixed time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def until(condition: Callable[[], Awaitable[T]], seconds: float = 60.0) -> T: ...


@overload
async def until(condition: Callable[[], T], seconds: float = 60.0) -> T: ...


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for a condition and return its value; TimeoutError if it never comes true."""
    async with asyncio.timeout(seconds):
        while True:
            outcome = condition()
            value = await outcome if isinstance(outcome, Awaitable) else outcome
            if value:
                return value
            await asyncio.sleep(0.01)
