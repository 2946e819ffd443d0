"""Ends work when a signal asks for it, at whatever moment the signal comes."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventscope.background import cancel

T = TypeVar("T")


@dataclass(slots=True)
class Asked:
    """Whether a signal has asked for the end, and which was the first to do so."""

    number: int = 0
    instead: Callable[[int], object] | None = None
    """Called with the signals from now on, where something else than a cancellation ends the work in good order."""
    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def __bool__(self) -> bool:
        return self._event.is_set()

    def ask(self, number: int) -> None:
        """Note that this signal has come."""
        self.number = self.number or number
        if self.instead is None:
            self._event.set()
        else:
            self.instead(number)

    async def wait(self) -> None:
        """Return once a signal has come."""
        await self._event.wait()


@contextmanager
def signals(*more: signal.Signals) -> Iterator[Asked]:
    """Note SIGINT, SIGTERM and `more` for the length of the block, in place of what they do otherwise.

    One of `more` that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    asked = Asked()
    loop = asyncio.get_running_loop()
    optional = [number for number in more if signal.getsignal(number) is not signal.SIG_IGN]
    numbers = [signal.SIGINT, signal.SIGTERM, *optional]
    for number in numbers:
        loop.add_signal_handler(number, asked.ask, number)
    try:
        yield asked
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def before(asked: Asked, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work and return its result; or cancel it when the end is asked for first, and return None."""
    task, waiting = asyncio.ensure_future(work), asyncio.ensure_future(asked.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await cancel(task)
    return None if task.cancelled() else task.result()


async def until_asked(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends or is asked to; what it raises while it is being cancelled is raised."""
    with signals() as asked:
        await before(asked, work)
