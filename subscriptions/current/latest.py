"""The latest value for one subscriber: what it was too slow for is replaced, so nothing piles up."""

import asyncio
from typing import Final, Generic, TypeVar

T = TypeVar("T")

NOTHING: Final = object()


class Latest(Generic[T]):
    """One value at most waits here. What a value is told apart by is its `mark`: the same is not handed on twice."""

    def __init__(self) -> None:
        self._waiting: list[tuple[T, object]] = []
        self._error: Exception | None = None
        self._given: object = NOTHING
        self._something = asyncio.Event()

    def put(self, value: T, mark: object) -> None:
        """Replace what waits."""
        self._waiting = [] if mark == self._given else [(value, mark)]
        if self._waiting:
            self._something.set()

    def fail(self, error: Exception) -> None:
        """End it with this error."""
        self._error = error
        self._something.set()

    async def next(self) -> T:
        """The latest value, once there is one that was not handed on yet."""
        while not self._waiting:
            await self._something.wait()
            self._something.clear()
            if self._error is not None:
                raise self._error
        value, self._given = self._waiting.pop()
        return value
