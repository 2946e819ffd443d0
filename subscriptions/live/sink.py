"""Where one subscriber's results go: text in, as fast as the other end reads it."""

from collections.abc import Coroutine, Generator
from typing import Any, Protocol, runtime_checkable


class Gone(Exception):
    """The other end has left, or may not receive more."""


class Sink(Protocol):
    """The way to one subscriber."""

    def send(self, text: str, position: int) -> Coroutine[Any, Any, None]:
        """Send one result, with which the log is delivered up to `position`.

        It may wait for the other end, and raises Gone or an OSError when that has left.

        The coroutine must use neither `asyncio.timeout` nor a task group, nor anything else that asks for the current
        task: `start_send` runs its first step outside the task that later awaits the rest.
        """
        ...

    def cut(self) -> None:
        """Abort the connection: the other end has not read anything for too long."""
        ...


@runtime_checkable
class ImmediateSink(Protocol):
    """A sink that knows whether it can send without waiting."""

    def put(self, body: bytes, position: int) -> bool:
        """Send an encoded result if that needs no waiting; False, and nothing is sent, if it does."""
        ...


class PendingSend:
    """A coroutine that `start_send` began and that waits. Awaiting this continues it, in any task."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: object) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as error:
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(value)
        except StopIteration:
            return

    def close(self) -> None:
        """Abandon it."""
        self._coroutine.close()


def start_send(coroutine: Coroutine[Any, Any, None]) -> PendingSend | None:
    """Run the coroutine until it has to wait; None if it ended without waiting.

    A send to a socket that has room never waits. Stepped by hand in the cohort's one loop, a thousand sends need not
    wake a thousand tasks. The step runs in whatever task calls this, which is not the one that continues it.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return PendingSend(coroutine, waits_for)
