"""What a subscriber receives, item by item, and events for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.state import checkpoint, lease
from eventscope.store.values import moment
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.live.history import Item, position_after
from eventscope.subscriptions.live.hub import Hub


class ItemSink:
    """Passes items to a test one by one, and accepts no text before the test has received the previous one."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._texts: asyncio.Queue[Item] = asyncio.Queue(maxsize=1)

    def render(self, item: Item) -> str:
        """A text that stands for the item."""
        self._items.append(item)
        return str(len(self._items) - 1)

    def send(self, text: str, position: int) -> Coroutine[Any, Any, None]:
        """Take the item that this text stands for."""
        item = self._items[int(text)]
        assert position_after(item) == position
        return self._texts.put(item)

    def cut(self) -> None:
        """Fail: no test is that slow."""
        raise AssertionError

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        return await self._texts.get()


@asynccontextmanager
async def following(hub: Hub, filter: Filter, after: int) -> AsyncIterator[AsyncIterator[Item]]:
    """The items for a subscriber with that filter, for the length of the block."""
    sink = ItemSink()
    task = asyncio.create_task(hub.follow(repr(filter), filter, after, lambda: sink.render, sink))
    try:
        async with asyncio.timeout(30):
            yield sink
    finally:
        await cancel(task)


async def items_until(items: AsyncIterator[Item], kind: type) -> list[Item]:
    """The next items up to the first of that kind."""
    received = [await anext(items)]
    while not isinstance(received[-1], kind):
        received.append(await anext(items))
    return received


async def take_events(items: AsyncIterator[Item], count: int) -> list[Item]:
    """The next items up to that many events."""
    received: list[Item] = []
    while len(positions(received)) < count:
        received.append(await anext(items))
    return received


def positions(items: list[Item]) -> list[int]:
    """The positions of the events among the items."""
    return [item["_id"] for item in items if isinstance(item, dict)]


async def publish_updates(client: Client, prefix: str, count: int) -> None:
    """Publish events of ten users in turn."""
    for number in range(count):
        message = {"aggregateType": "user", "aggregateId": str(number % 10)}
        await client.publish(f"{prefix}.user.updated", orjson.dumps(message))


async def head_is(log: Log, head: int) -> bool:
    """Whether the log has got there."""
    return (await checkpoint.read(log)).head == head


async def store_unannounced(
    log: Log, count: int, recorded_at: int | None = None, days: float = 0, clock: Callable[[], int] = moment.now
) -> None:
    """Store events without an ingester or a feed."""
    at = await lease.acquire(log, "test", 60)
    assert at is not None
    start = at.stream_position.sequence if at.stream_position else 0
    arrivals = [Arrival("x", {}, b"", start + n, recorded_at or moment.now()) for n in range(1, count + 1)]
    messages = tuple(
        AcceptedMessage(a, {"type": "a.b", "messageId": str(a.sequence), "timestamp": a.recorded_at}) for a in arrivals
    )
    then = Log(log.mongo, clock, log.question_seconds)
    await append(then, Retention({"*": days}), at, MessageBatch(messages, StreamPosition("S", "", start + count, 0)))
