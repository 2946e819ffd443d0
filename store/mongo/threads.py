"""Runs blocking calls in threads of our own.

Python's thread pool takes 33 µs of CPU time to pass a call to a thread and its result back; this takes 17. Reading a
page of 20 events takes 1,000. Threads never end: like those of a pool, they live as long as the process.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, TypeVar

T = TypeVar("T")

MOST: Final = 5 * (os.cpu_count() or 1)  # as many threads as motor has


class _Call(NamedTuple):
    work: Callable[[], Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Threads:
    """As many threads as calls run at the same time, at most `most`; further calls wait in order."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = Lock()
        self._call_count = 0
        self._thread_count = 0
        self._calls: SimpleQueue[_Call] = SimpleQueue()

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises. It runs in the caller's context.

        If the caller is cancelled, work that has started goes on, and other work is dropped. RuntimeError if there is
        no thread and the system can start none.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._lock:
            self._call_count += 1
            if is_short := self._call_count > self._thread_count < self._most:
                self._thread_count += 1
        if is_short:
            self._start()
        self._calls.put(_Call(work, copy_context(), loop, future))
        return await future

    def _start(self) -> None:
        try:
            Thread(target=self._work, name="eventscope-mongo", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self._thread_count -= 1
                if self._thread_count:
                    return  # the call waits for one of the others
                self._call_count -= 1
            raise

    def _work(self) -> None:
        while True:
            self._answer(self._calls.get())

    def _answer(self, call: _Call) -> None:
        settle: Callable[[asyncio.Future[Any], Any], None] = _set_result
        try:
            outcome = None if call.future.cancelled() else call.context.run(call.work)
        except BaseException as error:
            settle, outcome = _set_exception, error
        with self._lock:
            self._call_count -= 1
        with suppress(RuntimeError):  # the loop may be closed by now
            call.loop.call_soon_threadsafe(settle, call.future, outcome)


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


THREADS: Final = Threads()
