"""Ends work in good order on SIGINT or SIGTERM, whenever the signal arrives."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from eventscope.background import cancel

T = TypeVar("T")


@dataclass(slots=True)
class StopRequest:
    """Whether a signal has requested a stop; `number` is the first such signal, 0 before any."""

    number: int = 0
    handler: Callable[[int], object] | None = None
    """Once set, it receives each signal instead: for work that can end in good order without being cancelled."""
    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def __bool__(self) -> bool:
        return self._event.is_set()

    def receive(self, number: int) -> None:
        """Record a signal."""
        self.number = self.number or number
        if self.handler is None:
            self._event.set()
        else:
            self.handler(number)

    async def wait(self) -> None:
        """Return once a stop has been requested."""
        await self._event.wait()


@contextmanager
def stop_request(*more: signal.Signals) -> Iterator[StopRequest]:
    """Record SIGINT, SIGTERM and `more` for the length of the block, in place of their default actions.

    A signal among `more` that is ignored, as SIGHUP is under nohup, stays ignored.
    """
    stop = StopRequest()
    loop = asyncio.get_running_loop()
    optional = [number for number in more if signal.getsignal(number) is not signal.SIG_IGN]
    numbers = [signal.SIGINT, signal.SIGTERM, *optional]
    for number in numbers:
        loop.add_signal_handler(number, stop.receive, number)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def run_until(stop: StopRequest, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the work's result, or None if a stop is requested first: the work is then cancelled."""
    task, waiting = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await cancel(task)
    return None if task.cancelled() else task.result()


async def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends or a signal arrives; raises what the work raises, even during its cancellation."""
    with stop_request() as stop:
        await run_until(stop, work)
