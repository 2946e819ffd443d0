"""Answers that are computed once for all callers that wait for them.

A caller that is cancelled does not affect the others; when the last one is, the computation is cancelled. Failures are
not remembered: the next call computes again.
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
    callers: int = 0


class SharedAnswers:
    """Remembers answers by key."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, _SharedTask] = {}

    async def of(self, key: Hashable, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer for the key, computed by `find` on the first call; if `find` raises, so do all waiting calls."""
        shared = self._tasks.get(key)
        if shared is None:
            shared = self._tasks[key] = _SharedTask(asyncio.create_task(find()))
            shared.task.add_done_callback(partial(self._forget_failed, key))
        shared.callers += 1
        try:
            answer: T = await asyncio.shield(shared.task)
            return answer
        finally:
            shared.callers -= 1
            # no await between this check and `_forget`, so no new caller can join a task that is being cancelled
            if not shared.callers and not shared.task.done():
                shared.task.cancel()
                self._forget(key, shared.task)

    def _forget_failed(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._forget(key, task)

    def _forget(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        shared = self._tasks.get(key)
        if shared is not None and shared.task is task:  # a later call may have started a new task already
            del self._tasks[key]
