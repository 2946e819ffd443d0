"""News of the log for those who keep something up to date: which events came, or that any may have come unseen.

One inbox of the live feed serves them all. Nobody is told an event for its own sake, so nothing is read here to fill a
hole: whoever hears that anything may have come reads anew what is kept up to date.
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
from eventscope.subscriptions.live.feed import Feed, Inbox, Overflow
from eventscope.subscriptions.live.live_batch import LiveBatch

LOOK_SECONDS: Final = 2.5  # how often the head is looked at while the feed is silent
RETRY_SECONDS: Final = 1.0


class Listener(Protocol):
    """Keeps something up to date."""

    def came(self, events: Sequence[EventDocument]) -> None:
        """These are new in the log."""
        ...

    def missed(self) -> None:
        """Any events may have come or gone: what is kept may differ in anything from the log."""
        ...


class ChangeNotifier:
    """Listens to the feed for as long as somebody listens to it."""

    def __init__(self, log: Log, feed: Feed) -> None:
        self._log = log
        self._feed = feed
        self._listeners: set[Listener] = set()
        self._unheard: set[Listener] = set()  # those that failed to take something in
        self._task: asyncio.Task[None] | None = None
        self._head: int | None = None  # None until the first word, and after a hole
        self._hour = 0
        self._pace = Pace()

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Tell the listener of all that is stored from now on, for the length of the block."""
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            self._listeners.discard(listener)
            self._unheard.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _listen(self) -> None:
        self._head, self._hour = None, self._log.clock() // HOUR
        with self._feed.join() as inbox:
            # what was read before this moment may be missing what was stored just then
            self._miss()
            while True:
                try:
                    await self._hear(inbox)
                except Exception as error:
                    log_unexpected(error, "what is kept up to date for subscribers is read anew")
                    self._head = None
                    self._miss()
                    await asyncio.sleep(RETRY_SECONDS)
                hour = self._log.clock() // HOUR
                if hour != self._hour:  # events expire at full hours only
                    self._hour = hour
                    self._miss()
                for listener in tuple(self._unheard):
                    self._tell(listener, None)

    async def _hear(self, inbox: Inbox) -> None:
        try:
            batch = await inbox.next(LOOK_SECONDS)
        except Overflow:
            inbox.clear()
            self._head = None
            return
        if batch is not None:
            await self._take(batch)
        elif self._feed.silent:
            await self._look()

    async def _take(self, batch: LiveBatch) -> None:
        before, self._head = self._head, max(batch.head, self._head or 0)
        if not batch.events and before is not None and batch.head < before:  # as of a log that was made anew
            self._head = batch.head
            self._miss()
        elif before is None or batch.previous > before:
            self._miss()
        elif new := [event for event in batch.events if event["_id"] > before]:
            for listener in tuple(self._listeners):
                self._tell(listener, new)
                await self._pace.pause()

    async def _look(self) -> None:
        try:
            head = await checkpoint.head(self._log)
        except EventscopeError:  # whoever reads hears of it; here it is tried again
            return
        if head != self._head:
            self._head = head
            self._miss()

    def _miss(self) -> None:
        for listener in tuple(self._listeners):
            self._tell(listener, None)

    def _tell(self, listener: Listener, events: Sequence[EventDocument] | None) -> None:
        """Tell it what came, or with None that anything may have; one that fails is told again, and stops no other."""
        try:
            if events is None:
                listener.missed()
            else:
                listener.came(events)
        except Exception as error:
            log_unexpected(error, "a subscriber's answer is read anew")
            self._unheard.add(listener)
        else:
            if events is None:
                self._unheard.discard(listener)
