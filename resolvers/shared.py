"""Answers that many wait for and that are found once. Nobody's leaving disturbs the others; with the last it ends.

No failure is remembered: whoever asks after one was found out asks anew.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _SharedTask:
    task: asyncio.Task[Any]
    waiting: int = 0


class SharedAnswers:
    """Remembers what it has found, by key."""

    def __init__(self) -> None:
        self._asked: dict[Hashable, _SharedTask] = {}

    async def of(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What was found for the first who asked; raises what finding it raised, to those who waited for it."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = _SharedTask(asyncio.create_task(find()))
            asked.task.add_done_callback(partial(self._forget_failed, key))
        asked.waiting += 1
        try:
            found: T = await asyncio.shield(asked.task)
            return found
        finally:
            asked.waiting -= 1
            if not asked.waiting and not asked.task.done():
                asked.task.cancel()
                self._forget(key, asked.task)

    def _forget_failed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(key, task)

    def _forget(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        asked = self._asked.get(key)
        if asked is not None and asked.task is task:  # somebody may have asked anew already
            del self._asked[key]
