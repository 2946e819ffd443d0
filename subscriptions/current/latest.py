"""The latest value for one subscriber: a new value replaces one that still waits, so nothing piles up."""

import asyncio
from typing import Final, Generic, TypeVar

T = TypeVar("T")

NO_MARK: Final = object()


class Latest(Generic[T]):
    """At most one value waits here. `next` never returns two values with equal marks in a row."""

    def __init__(self) -> None:
        self._waiting: list[tuple[T, object]] = []
        self._error: Exception | None = None
        self._last_mark: object = NO_MARK
        self._wake_up = asyncio.Event()

    def put(self, value: T, mark: object) -> None:
        """Replace the value that waits."""
        self._waiting = [] if mark == self._last_mark else [(value, mark)]
        if self._waiting:
            self._wake_up.set()

    def fail(self, error: Exception) -> None:
        """Have `next` raise this error."""
        self._error = error
        self._wake_up.set()

    async def next(self) -> T:
        """The latest value, once there is a new one."""
        while not self._waiting:
            await self._wake_up.wait()
            self._wake_up.clear()
            if self._error is not None:
                raise self._error
        value, self._last_mark = self._waiting.pop()
        return value
