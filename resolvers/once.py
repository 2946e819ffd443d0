"""Answers that many wait for and that are found once. Nobody's leaving disturbs the others; with the last it ends."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Asked:
    task: asyncio.Task[Any]
    waiting: int = 0


class Once:
    """Remembers what it has found, by key."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, _Asked] = {}

    async def of(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What is found, by whoever asked first; raises what finding it raised."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _Asked(asyncio.create_task(find()))
        asked.waiting += 1
        try:
            found: T = await asyncio.shield(asked.task)
            return found
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.task.done():
                asked.task.cancel()
                del self._asked[key]
