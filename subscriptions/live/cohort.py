"""Equal subscriptions: each event that matches is executed and encoded once for all their subscribers."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Final, TypeAlias

from eventscope.errors import log_unexpected
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live.feed import Feed
from eventscope.subscriptions.live.history import Advance, Item
from eventscope.subscriptions.live.render_cache import RenderCache
from eventscope.subscriptions.live.subscriber import RenderedItem, SendBudget, Subscriber, Text

STEP: Final = 256  # subscribers that are served before other tasks get their turn

Render: TypeAlias = Callable[[Item], Text]


@dataclass(slots=True)
class Shared:
    """What all cohorts of one hub share."""

    feed: Feed
    budget: SendBudget
    cache: RenderCache
    position: int = 0
    """The position up to which the log was sent."""


@dataclass(frozen=True, slots=True)
class PendingItem:
    """An item for all subscribers that start before `mark`, and the bytes it counts for until it is sent."""

    item: Item
    before: int
    """The position up to which everything was sent before this item."""
    mark: int
    cursor: int
    size: int = 0


class Cohort:
    """Subscribers with the same document, variables, filter and rights; `key` identifies them."""

    def __init__(self, key: Hashable, render: Render, shared: Shared) -> None:
        self.key = key
        self.subscribers: dict[Subscriber, None] = {}
        self.announced_position = shared.position
        """The position that the subscribers know of."""
        self.announced_at = asyncio.get_running_loop().time()
        self._render = render
        self._shared = shared
        self._queue: deque[PendingItem] = deque()
        self._size = 0
        self._worker: asyncio.Task[None] | None = None
        self._rendering: RenderedItem | None = None
        self._recipients: Iterator[Subscriber] = iter(())  # that the rendering has yet to be sent to

    @property
    def position(self) -> int:
        """The position up to which the log was sent to the subscribers."""
        return self._queue[0].before if self._queue else self._shared.position

    def render(self, item: Item) -> Text:
        """The item as text. A text that needs nothing but the event itself is cached."""
        if not isinstance(item, dict):
            return self._render(item)
        text: Text | None = self._shared.cache.get(self.key, item["_id"])
        if text is None:
            text = self._render(item)
            if isinstance(text, str):
                self._shared.cache.add(self.key, item["_id"], text)
        return text

    def count_delivery(self, events: int = 1) -> None:
        """Count events that were sent to subscribers."""
        self._shared.feed.observer.on_delivery(events)

    async def deliver(self, event: EventDocument, size: int) -> None:
        """Send an event, which comes after all that were sent before."""
        position = event["_id"]
        await self._push(PendingItem(event, position - 1, position, position, size))

    async def signal(self, item: Item, mark: int, cursor: int) -> None:
        """Send a signal to all subscribers that start before the mark."""
        await self._push(PendingItem(item, cursor, mark, cursor))

    async def announce(self, now: float, position: int) -> None:
        """Send the position up to which nothing more matched, if the subscribers do not know it."""
        if position > self.announced_position and self.subscribers:
            await self.signal(Advance(position), position, position)
        self.announced_at = now

    def fall_back(self) -> None:
        """Have all subscribers read from the store what they were not sent."""
        self._send_on(None)
        for subscriber in tuple(self.subscribers):
            subscriber.fall_back()
        self._queue.clear()
        self._release(self._size)

    def close(self) -> None:
        """End after the last subscriber has left."""
        self._queue.clear()
        self._release(self._size)
        if self._worker is not None:
            self._worker.cancel()

    async def _push(self, pending: PendingItem) -> None:
        if not self.subscribers:
            return
        if self._worker is not None:
            self._add(pending)
            return
        try:
            text = self.render(pending.item)
            body = text.encode() if isinstance(text, str) else None
        except Exception as error:
            self._add(pending)  # so that the position stays before it
            self._recover(error)
            return
        if body is not None:
            await self._send(pending, body)
        elif not isinstance(text, str):
            self._add(pending)
            self._worker = asyncio.create_task(self._work(text))

    def _add(self, pending: PendingItem) -> None:
        self._queue.append(pending)
        self._size += pending.size
        budget = self._shared.budget
        budget.waiting_bytes += pending.size
        if self._size > budget.per_subscriber or budget.waiting_bytes > budget.total:
            self.fall_back()

    def _release(self, size: int) -> None:
        self._size -= size
        self._shared.budget.waiting_bytes -= size

    async def _work(self, text: Text) -> None:
        """Send, in order, items whose text takes time to make; `text` is that of the first one in the queue."""
        try:
            while self._queue:
                pending = self._queue[0]
                body = (text if isinstance(text, str) else await text).encode()
                if self._queue and self._queue[0] is pending:  # otherwise `fall_back` has cleared the queue
                    self._queue.popleft()
                    self._release(pending.size)
                    await self._send(pending, body)
                if self._queue:
                    text = self.render(self._queue[0].item)
        except Exception as error:
            self._recover(error)
        finally:
            self._worker = None

    def _recover(self, error: Exception) -> None:
        """Continue from the store: what was not sent is still in the queue, so the position lies before it."""
        log_unexpected(error, "live delivery failed; equal subscriptions continue from the log")
        self.fall_back()

    async def _send(self, pending: PendingItem, body: bytes) -> None:
        start = perf_counter()
        self.announced_position, self.announced_at = pending.cursor, asyncio.get_running_loop().time()
        self._rendering = RenderedItem(pending.mark, pending.cursor, body, isinstance(pending.item, dict))
        self._recipients = iter(tuple(self.subscribers))
        while True:
            if self._send_on(STEP) < STEP:
                break
            await asyncio.sleep(0)
        self._shared.feed.observer.on_fan_out(perf_counter() - start)

    def _send_on(self, count: int | None) -> int:
        """Send the rendering to `count` more subscribers, to all that remain if None; returns how many those were.

        `fall_back` calls this for one schedule: `_work` sends a rendering and yields between two steps, and the hub's
        task then falls back. The item has left the queue, so `position` lies after it, and subscribers without the
        rendering would continue from there and never get it. So the rest get it first. `_send` then finds the shared
        iterator empty, and no subscriber gets the rendering twice.
        """
        rendering, subscribers, deliveries = self._rendering, 0, 0
        if rendering is None:
            return 0
        for subscriber in islice(self._recipients, count):
            deliveries += subscriber.offer(rendering)
            subscribers += 1
        if deliveries and rendering.is_event:
            self.count_delivery(deliveries)
        return subscribers
