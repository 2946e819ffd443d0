"""Those who asked the same: each event that they mean is matched, executed and written out once for all of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Final, Protocol, TypeAlias

from eventscope.errors import log_unexpected
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live.history import Advance, Item
from eventscope.subscriptions.live.render_cache import RenderCache
from eventscope.subscriptions.live.subscriber import Frame, SendBudget, Subscriber, Text
from eventscope.subscriptions.observer import FeedObserver

STEP: Final = 256  # members that are sent to before others get their turn

Render: TypeAlias = Callable[[Item], Text]


class Source(Protocol):
    """What sends to cohorts."""

    @property
    def position(self) -> int:
        """Up to where the log was sent."""
        ...

    @property
    def observer(self) -> FeedObserver:
        """Hears what is delivered."""
        ...


@dataclass(frozen=True, slots=True)
class PendingItem:
    """An item to be sent to all who start before the mark, and what it takes of memory until it is."""

    item: Item
    before: int
    """Up to where all was sent before it."""
    mark: int
    cursor: int
    size: int = 0


class Cohort:
    """Members with one document, one set of variables, one filter and the same rights, which `key` tells apart."""

    def __init__(self, key: Hashable, render: Render, source: Source, room: SendBudget, texts: RenderCache) -> None:
        self.key = key
        self.members: dict[Subscriber, None] = {}
        self.told = source.position
        self.told_at = asyncio.get_running_loop().time()
        self._render = render
        self._source = source
        self._room = room
        self._texts = texts
        self._tasks: deque[PendingItem] = deque()
        self._size = 0
        self._worker: asyncio.Task[None] | None = None
        self._left: Iterator[Subscriber] = iter(())  # who has yet to be sent what is being sent
        self._what: Frame | None = None

    @property
    def position(self) -> int:
        """Up to where the log was sent to the members."""
        return self._tasks[0].before if self._tasks else self._source.position

    def render(self, item: Item) -> Text:
        """The item as text. What needs no more than the event itself is remembered."""
        if not isinstance(item, dict):
            return self._render(item)
        text: Text | None = self._texts.get(self.key, item["_id"])
        if text is None:
            text = self._render(item)
            if isinstance(text, str):
                self._texts.add(self.key, item["_id"], text)
        return text

    def sent(self, events: int = 1) -> None:
        """Count events that members were sent."""
        self._source.observer.delivered(events)

    async def event(self, event: EventDocument, size: int) -> None:
        """Send an event, on the position behind all that were sent before."""
        position = event["_id"]
        await self._push(PendingItem(event, position - 1, position, position, size))

    async def signal(self, item: Item, mark: int, cursor: int) -> None:
        """Send word of the place in the log to all who start before the mark."""
        await self._push(PendingItem(item, cursor, mark, cursor))

    async def tell(self, now: float, position: int) -> None:
        """Tell how far the log was gone through, if anything was since the members heard of it."""
        if position > self.told and self.members:
            await self.signal(Advance(position), position, position)
        self.told_at = now

    def miss(self) -> None:
        """Let all members read from the store what they were not sent."""
        self._send_on(None)
        for member in tuple(self.members):
            member.miss()
        self._tasks.clear()
        self._release(self._size)

    def close(self) -> None:
        """Nobody is left."""
        self._tasks.clear()
        self._release(self._size)
        if self._worker is not None:
            self._worker.cancel()

    async def _push(self, task: PendingItem) -> None:
        if not self.members:
            return
        if self._worker is not None:
            self._add(task)
            return
        try:
            text = self.render(task.item)
            body = text.encode() if isinstance(text, str) else None
        except Exception as error:
            self._add(task)  # so that the position stays before it
            self._stumble(error)
            return
        if body is not None:
            await self._send(task, body)
        elif not isinstance(text, str):
            self._add(task)
            self._worker = asyncio.create_task(self._work(text))

    def _add(self, task: PendingItem) -> None:
        self._tasks.append(task)
        self._size += task.size
        self._room.held += task.size
        if self._size > self._room.one or self._room.held > self._room.all:
            self.miss()

    def _release(self, size: int) -> None:
        self._size -= size
        self._room.held -= size

    async def _work(self, text: Text) -> None:
        """Send what takes longer to be made, in order."""
        try:
            while self._tasks:
                task = self._tasks[0]
                body = (text if isinstance(text, str) else await text).encode()
                if self._tasks and self._tasks[0] is task:  # or all was given up meanwhile
                    self._tasks.popleft()
                    self._release(task.size)
                    await self._send(task, body)
                if self._tasks:
                    text = self.render(self._tasks[0].item)
        except Exception as error:
            self._stumble(error)
        finally:
            self._worker = None

    def _stumble(self, error: Exception) -> None:
        """Go on from the store: what was not sent is still queued, so the position lies before it."""
        log_unexpected(error, "live delivery stumbled; subscribers that ask the same read on from the log")
        self.miss()

    async def _send(self, task: PendingItem, body: bytes) -> None:
        began = perf_counter()
        self.told, self.told_at = task.cursor, asyncio.get_running_loop().time()
        is_event = isinstance(task.item, dict)
        self._what = Frame(task.mark, task.cursor, body, is_event)
        self._left = iter(tuple(self.members))
        while True:
            if self._send_on(STEP) < STEP:
                break
            await asyncio.sleep(0)
        self._source.observer.fanned_out(perf_counter() - began)

    def _send_on(self, most: int | None) -> int:
        """Send to the next members; how many those were."""
        what, n, sent = self._what, 0, 0
        if what is None:
            return 0
        for member in islice(self._left, most):
            sent += member.take(what)
            n += 1
        if sent and what.is_event:
            self.sent(sent)
        return n
