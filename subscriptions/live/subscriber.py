"""One subscriber: history at its own pace, then what its cohort sends to all, and back to history if it is too slow.

What is sent while its socket has room goes out at once, in the course of the cohort's one loop. The task of the member
wakes only to read history, and to go on when the socket had no room.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from eventscope.subscriptions.live.history import HistoryReader, Item, LiveStart, position_after
from eventscope.subscriptions.live.sink import Gone, ImmediateSink, PendingSend, Sink, start_send

SEND_SECONDS: Final = 10.0  # that one send may take; who takes nothing for so long is cut off
LAG_SECONDS: Final = 0.5
HOLD_SECONDS: Final = 1.0  # that a slow subscriber may hold what was read ahead for it

Text: TypeAlias = str | Awaitable[str]


@dataclass(slots=True)
class SendBudget:
    """How many bytes may wait for one subscriber, and for all together."""

    one: int
    all: int
    held: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """What a group is sent: for those who start before the mark, and whose cursor it then moves."""

    mark: int
    cursor: int
    body: bytes
    """The text, encoded."""
    is_event: bool


class Group(Protocol):
    """Those who get the same."""

    @property
    def position(self) -> int:
        """Up to where the log was sent to them."""
        ...

    def render(self, item: Item) -> Text:
        """The item as the text that all of them get."""
        ...

    def sent(self) -> None:
        """Count an event that was sent to one of them alone."""
        ...


class Subscriber:
    """One subscriber of a group."""

    def __init__(self, group: Group, reading: HistoryReader, sink: Sink, room: SendBudget) -> None:
        self._group = group
        self._reading = reading
        self._sink = sink
        self._put = sink.put if isinstance(sink, ImmediateSink) else _never
        self._room = room
        self._live = False  # or it reads history
        self._direct = False  # nothing waits, and what comes is sent at once
        self._start = reading.cursor  # what lies before has come from the store
        self._since = 0  # from here on it hears what the group is sent
        self._queue: deque[Frame] = deque()
        self._size = 0
        self._waiting: PendingSend | None = None
        self._missed = False
        self._ended: Exception | None = None
        self._woken = asyncio.Event()

    @property
    def position(self) -> int:
        """Up to where it has what it asked for."""
        return max(self._start, self._group.position) if self._direct else self._reading.cursor

    async def follow(self) -> None:
        """Send everything that the group means on positions above the cursor, in order, until the sink is gone.

        Raises Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then. What
        else it raises nobody foresaw: that the sink is gone is an OSError or Gone, and all else is a fault of ours.
        """
        try:
            while True:
                await self._catch_up()
                await self._say(LiveStart(self._reading.cursor))
                await self._keep_up()
                await self._say(self._reading.fell_behind())
        except Gone:
            return
        finally:
            self._live = self._direct = False
            self._missed = True  # and takes no more
            self._clear()
            if self._waiting is not None:
                self._waiting.close()

    def take(self, what: Frame) -> bool:
        """Send it, or let it wait, unless it is of before the start; tells whether the socket has it."""
        if self._direct:
            if what.mark <= self._start:
                return False
            try:
                if self._put(what.body, what.cursor):
                    return True
                self._waiting = start_send(self._sink.send(what.body.decode(), what.cursor))
            except OSError:
                self._ended = Gone()
            except Exception as error:
                self._ended = error  # for its own task to raise: the others are sent to all the same
            else:
                if self._waiting is None:
                    return True
                self._reading.cursor = what.cursor
            self._direct = False
            self._woken.set()
            return self._ended is None
        if not self._missed and (self._live or what.is_event) and what.mark > self._start:
            self._wait(what)
        return False

    def miss(self) -> None:
        """Something was not sent to the group: read it from the store."""
        if self._direct:
            self._reading.cursor = self.position
            self._direct = False
        self._missed = True
        self._clear()
        self._woken.set()

    def _wait(self, what: Frame) -> None:
        room, size = self._room, len(what.body)
        self._queue.append(what)
        self._size += size
        room.held += size
        if self._size > room.one or room.held > room.all:
            self.miss()

    def _clear(self) -> None:
        self._queue.clear()
        self._room.held -= self._size
        self._size = 0

    def _listen(self) -> None:
        """Hear from now on what the group is sent, and nothing of before."""
        self._clear()
        self._missed = False
        self._since = self._group.position

    async def _catch_up(self) -> None:
        self._live = False
        while True:
            async for item in self._reading.history(self._listen):
                await self._say(item)
            self._start = self._reading.cursor
            if self._start < self._since:  # a log that has lost its end, which some see sooner than others
                await asyncio.sleep(LAG_SECONDS)
            elif not self._missed:
                return

    async def _keep_up(self) -> None:
        self._live = True
        while True:
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                await self._patiently(waiting)
            elif self._missed:
                return
            elif self._ended is not None:
                raise self._ended
            elif self._queue:
                await self._send_next()
            else:
                self._woken.clear()
                self._direct = True
                await self._woken.wait()

    async def _send_next(self) -> None:
        what = self._queue.popleft()
        self._size -= len(what.body)
        self._room.held -= len(what.body)
        if what.mark > self._start:
            self._reading.cursor = max(self._reading.cursor, what.cursor)
            await self._send(what.body.decode(), what.cursor)
            if what.is_event:
                self._group.sent()

    async def _say(self, item: Item) -> None:
        text = self._group.render(item)
        await self._send(text if isinstance(text, str) else await text, position_after(item))
        if isinstance(item, dict):
            self._group.sent()

    async def _send(self, text: str, position_after: int) -> None:
        try:
            waiting = start_send(self._sink.send(text, position_after))
        except OSError as error:
            raise Gone from error
        if waiting is not None:
            await self._patiently(waiting)

    async def _patiently(self, waiting: PendingSend) -> None:
        release = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._reading.release)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await waiting
        except TimeoutError as error:
            self._sink.cut()
            raise Gone from error
        except OSError as error:
            raise Gone from error
        finally:
            release.cancel()


def _never(body: bytes, position_after: int) -> bool:
    return False
