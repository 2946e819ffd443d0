"""Changes of the log, for listeners that keep something up to date: new events, or word that any may have changed.

One queue of the live feed serves all listeners. They do not need the events themselves, so a hole is not filled here: a
listener that may have missed some reads again what it keeps.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from eventscope.errors import EventscopeError, log_unexpected
from eventscope.store.log import Log
from eventscope.store.pace import Pace
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import HOUR
from eventscope.subscriptions.live.feed import BatchQueue, Feed, Overflow
from eventscope.subscriptions.live.live_batch import LiveBatch

LOOK_SECONDS: Final = 2.5
RETRY_SECONDS: Final = 1.0


class ChangeListener(Protocol):
    """Keeps something up to date."""

    def on_events(self, events: Sequence[EventDocument]) -> None:
        """These events are new in the log."""
        ...

    def on_any_change(self) -> None:
        """Any events may have come or gone: nothing that is kept can be relied on."""
        ...


class ChangeNotifier:
    """Listens to the feed while it has listeners.

    While the feed is silent, it reads the head every `look_seconds`; after an unexpected error, it waits for
    `retry_seconds`.
    """

    def __init__(
        self, log: Log, feed: Feed, look_seconds: float = LOOK_SECONDS, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._log = log
        self._feed = feed
        self._look_seconds = look_seconds
        self._retry_seconds = retry_seconds
        self._listeners: set[ChangeListener] = set()
        self._failed_listeners: set[ChangeListener] = set()  # those that raised, and must be notified again
        self._task: asyncio.Task[None] | None = None
        self._head: int | None = None  # None at the start and after a hole
        self._hour = 0
        self._pace = Pace()

    @contextmanager
    def notify(self, listener: ChangeListener) -> Iterator[None]:
        """Notify the listener of all changes from now on, for the length of the block."""
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._listeners.discard(listener)
            self._failed_listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _listen(self) -> None:
        self._head, self._hour = None, self._log.clock() // HOUR
        with self._feed.join() as queue:
            # an event stored just before this joined the feed is in no batch
            self._notify_any_change()
            while True:
                try:
                    await self._next(queue)
                except Exception as error:
                    log_unexpected(error, "what is kept up to date for subscribers is read again")
                    self._head = None
                    self._notify_any_change()
                    await asyncio.sleep(self._retry_seconds)
                hour = self._log.clock() // HOUR
                if hour != self._hour:  # events expire at full hours only
                    self._hour = hour
                    self._notify_any_change()
                for listener in tuple(self._failed_listeners):
                    self._call(listener, None)

    async def _next(self, queue: BatchQueue) -> None:
        try:
            batch = await queue.next(self._look_seconds)
        except Overflow:
            queue.clear()
            self._head = None
            return
        if batch is not None:
            await self._accept(batch)
        elif self._feed.is_silent:
            await self._look()

    async def _accept(self, batch: LiveBatch) -> None:
        before, self._head = self._head, max(batch.head, self._head or 0)
        if not batch.events and before is not None and batch.head < before:  # perhaps from a new log that replaced this
            self._head = batch.head
            self._notify_any_change()
        elif before is None or batch.previous > before:
            self._notify_any_change()
        elif new := [event for event in batch.events if event["_id"] > before]:
            for listener in tuple(self._listeners):
                self._call(listener, new)
                await self._pace.pause()

    async def _look(self) -> None:
        try:
            head = await checkpoint.head(self._log)
        except EventscopeError:  # reported by whatever reads for a subscriber; tried again here
            return
        if head != self._head:
            self._head = head
            self._notify_any_change()

    def _notify_any_change(self) -> None:
        for listener in tuple(self._listeners):
            self._call(listener, None)

    def _call(self, listener: ChangeListener, events: Sequence[EventDocument] | None) -> None:
        """Call it with new events, or None if any may have changed. If it raises, it is called with None later."""
        try:
            if events is None:
                listener.on_any_change()
            else:
                listener.on_events(events)
        except Exception as error:
            log_unexpected(error, "a subscriber's result is read again")
            self._failed_listeners.add(listener)
        else:
            if events is None:
                self._failed_listeners.discard(listener)
