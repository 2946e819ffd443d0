"""One subscriber: history at its own pace, then what its cohort sends to all, and back to history if it is too slow.

While its socket has room, renderings go out at once, in the cohort's one loop. The subscriber's own task wakes up only
to read history, and to finish a send for which the socket had no room.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from eventscope.subscriptions.live.history import ADVANCE_SECONDS, HistoryReader, Item, LiveStart, position_after
from eventscope.subscriptions.live.sink import Gone, ImmediateSink, PendingSend, Sink, start_send

if TYPE_CHECKING:  # a cohort has subscribers, and each of them knows its cohort
    from eventscope.subscriptions.live.cohort import Cohort

Text: TypeAlias = str | Awaitable[str]


@dataclass(slots=True)
class SendBudget:
    """How many bytes may wait for one subscriber, and for all together."""

    per_subscriber: int
    total: int
    waiting_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """How long steps of live delivery may take, and how much is read for all subscribers together."""

    advance_seconds: float = ADVANCE_SECONDS
    """Within which each subscriber learns its position."""
    send_seconds: float = 10.0
    """For one send; a connection that takes longer is aborted."""
    hold_seconds: float = 1.0
    """For which a slow subscriber may keep events that were read ahead for it."""
    lag_seconds: float = 0.5
    """Between two looks at a log that has lost its end."""
    retry_seconds: float = 1.0
    """After which the hub goes on when it has failed."""
    most_filled: int = 10_000
    """Events of a hole that are read once for all."""


@dataclass(frozen=True, slots=True)
class RenderedItem:
    """What a cohort is sent: for subscribers that start before the mark, whose cursor it moves."""

    mark: int
    cursor: int
    body: bytes
    """The text, encoded."""
    is_event: bool


class Subscriber:
    """One subscriber of a cohort."""

    def __init__(
        self, cohort: "Cohort", reader: HistoryReader, sink: Sink, budget: SendBudget, limits: DeliveryLimits
    ) -> None:
        self._cohort = cohort
        self._reader = reader
        self._sink = sink
        self._put = sink.put if isinstance(sink, ImmediateSink) else _never
        self._budget = budget
        self._limits = limits
        self._is_live = False  # otherwise it reads history
        self._is_direct = False  # nothing waits, and renderings are sent at once
        self._start = reader.cursor  # what lies before came from the store
        self._queue_after = 0  # the queue holds what the cohort was sent after this position
        self._queue: deque[RenderedItem] = deque()
        self._size = 0
        self._pending: PendingSend | None = None
        self._has_gap = False
        self._error: Exception | None = None
        self._wake_up = asyncio.Event()

    @property
    def position(self) -> int:
        """The position up to which it has received what it subscribed to."""
        return max(self._start, self._cohort.position) if self._is_direct else self._reader.cursor

    async def follow(self) -> None:
        """Send everything that matches on positions above the cursor, in order, until the sink is gone.

        Raises Unavailable or QuestionTimedOut when the store cannot be read; resume from the last position then. Any
        other exception is a defect: a sink that is gone raises Gone or an OSError, after which this simply returns.
        """
        try:
            while True:
                await self._catch_up()
                await self._deliver(LiveStart(self._reader.cursor))
                await self._follow_live()
                await self._deliver(self._reader.live_break())
        except Gone:
            return
        finally:
            self._is_live = self._is_direct = False
            self._has_gap = True  # so that `offer` queues nothing more
            self._clear()
            if self._pending is not None:
                self._pending.close()

    def offer(self, rendering: RenderedItem) -> bool:
        """Send the rendering now or queue it; skip it before the subscriber's start. True if the socket took it."""
        if self._is_direct:
            if rendering.mark <= self._start:
                return False
            try:
                if self._put(rendering.body, rendering.cursor):
                    return True
                self._pending = start_send(self._sink.send(rendering.body.decode(), rendering.cursor))
            except OSError:
                self._error = Gone()
            except Exception as error:
                self._error = error  # raised in its own task, so that the others still get the rendering
            else:
                if self._pending is None:
                    return True
                self._reader.cursor = rendering.cursor
            self._is_direct = False
            self._wake_up.set()
            return self._error is None
        if not self._has_gap and (self._is_live or rendering.is_event) and rendering.mark > self._start:
            self._enqueue(rendering)
        return False

    def fall_back(self) -> None:
        """Read from the store: something was not sent to the cohort."""
        if self._is_direct:
            self._reader.cursor = self.position
            self._is_direct = False
        self._has_gap = True
        self._clear()
        self._wake_up.set()

    def _enqueue(self, rendering: RenderedItem) -> None:
        budget, size = self._budget, len(rendering.body)
        self._queue.append(rendering)
        self._size += size
        budget.waiting_bytes += size
        if self._size > budget.per_subscriber or budget.waiting_bytes > budget.total:
            self.fall_back()

    def _clear(self) -> None:
        self._queue.clear()
        self._budget.waiting_bytes -= self._size
        self._size = 0

    def _restart_queue(self) -> None:
        """Queue what the cohort is sent from now on, and nothing from before."""
        self._clear()
        self._has_gap = False
        self._queue_after = self._cohort.position

    async def _catch_up(self) -> None:
        self._is_live = False
        while True:
            async for item in self._reader.read(self._restart_queue):
                await self._deliver(item)
            self._start = self._reader.cursor
            if self._start < self._queue_after:  # a log that has lost its end, which some notice before others
                await asyncio.sleep(self._limits.lag_seconds)
            elif not self._has_gap:
                return

    async def _follow_live(self) -> None:
        self._is_live = True
        while True:
            if self._pending is not None:
                pending, self._pending = self._pending, None
                await self._finish(pending)
            elif self._has_gap:
                return
            elif self._error is not None:
                raise self._error
            elif self._queue:
                await self._send_next()
            else:
                self._wake_up.clear()
                self._is_direct = True
                await self._wake_up.wait()

    async def _send_next(self) -> None:
        rendering = self._queue.popleft()
        self._size -= len(rendering.body)
        self._budget.waiting_bytes -= len(rendering.body)
        if rendering.mark > self._start:
            self._reader.cursor = max(self._reader.cursor, rendering.cursor)
            await self._send(rendering.body.decode(), rendering.cursor)
            if rendering.is_event:
                self._cohort.count_delivery()

    async def _deliver(self, item: Item) -> None:
        text = self._cohort.render(item)
        await self._send(text if isinstance(text, str) else await text, position_after(item))
        if isinstance(item, dict):
            self._cohort.count_delivery()

    async def _send(self, text: str, position: int) -> None:
        try:
            pending = start_send(self._sink.send(text, position))
        except OSError as error:
            raise Gone from error
        if pending is not None:
            await self._finish(pending)

    async def _finish(self, pending: PendingSend) -> None:
        release = asyncio.get_running_loop().call_later(self._limits.hold_seconds, self._reader.release)
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                await pending
        except TimeoutError as error:
            self._sink.cut()
            raise Gone from error
        except OSError as error:
            raise Gone from error
        finally:
            release.cancel()


def _never(body: bytes, position: int) -> bool:
    return False
