"""Where one subscriber's results go: text in, as fast as the other end takes it."""

from collections.abc import Coroutine, Generator
from typing import Any, Protocol, runtime_checkable


class Gone(Exception):
    """The other end is not there any more, or may not have more."""


class Sink(Protocol):
    """The way to one subscriber."""

    def send(self, text: str, reached: int) -> Coroutine[Any, Any, None]:
        """Send one result, with which the log was delivered up to the position `reached`.

        It may wait for the other end, and raises Gone or an OSError when that is gone.
        """
        ...

    def cut(self) -> None:
        """Break the connection off: the other end has not taken anything for too long."""
        ...


@runtime_checkable
class ImmediateSink(Protocol):
    """A sink that knows whether there is room at once."""

    def put(self, body: bytes, reached: int) -> bool:
        """The same with a result that is encoded, if that can be done at once; False, and nothing is sent, if not."""
        ...


class PendingSend:
    """A coroutine that was begun by `begin` and waits. Awaiting it goes on with it, in any task."""

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
        """Give it up."""
        self._coroutine.close()


def start_send(coroutine: Coroutine[Any, Any, None]) -> PendingSend | None:
    """Run the coroutine up to where it has to wait; None if it has come to its end without.

    A send to a socket that has room never waits, and a thousand of them need not a thousand tasks that wake up.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration:
        return None
    return PendingSend(coroutine, waits_for)
