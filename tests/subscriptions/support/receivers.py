"""Receivers of live delivery, as slow and stubborn as a test wants them, and events that are stored for them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import orjson
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.state import lease
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.history import Item
from eventscope.subscriptions.live.hub import Hub
from eventscope.subscriptions.live.subscriber import Text
from tests.subscriptions.support.seals import seal_of
from tests.support.until import until

ONE, ALL = 2_000, 6_000  # bytes that may wait for one subscriber and for all, in the tests of the hub
PLACE = re.compile(r"e(\d+)|[A-Z]\w+ \w+\(\w+=(\d+).*\)")  # of a text that `Renderer` has written


class Receiver:
    """A sink that checks that it is passed its position. While `room` is not set, sends wait."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.room = asyncio.Event()
        self.room.set()
        self.gone = False
        self.was_cut = False

    def send(self, text: str, position: int) -> Coroutine[Any, Any, None]:
        """Take a text as soon as there is room."""
        _check(text, position)
        if self.gone:
            raise ConnectionError
        return self._send(text)

    async def _send(self, text: str) -> None:
        await self.room.wait()
        self.texts.append(text)

    def cut(self) -> None:
        """Record that it was disconnected."""
        self.was_cut = self.gone = True

    @property
    def positions(self) -> list[int]:
        """The positions of the events received."""
        return [int(text[1:]) for text in self.texts if text[0] == "e"]

    @property
    def kinds(self) -> list[str]:
        """The kinds of everything received, events as `event`."""
        return ["event" if text[0] == "e" else text.split()[0] for text in self.texts]

    async def has(self, *positions: int) -> None:
        """Wait until exactly these events were received."""
        await until(lambda: self.positions[-1:] == list(positions[-1:]))
        assert self.positions == list(positions)


class ImmediateReceiver(Receiver):
    """A receiver that knows whether there is room, like the real sockets."""

    def put(self, body: bytes, position: int) -> bool:
        """Take the text if there is room."""
        _check(body.decode(), position)
        if self.gone or not self.room.is_set():
            return False
        self.texts.append(body.decode())
        return True


def _check(text: str, position: int) -> None:
    if found := PLACE.fullmatch(text):
        assert int(found[1] or found[2]) == position


class Renderer:
    """Renders items, and counts them."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, item: Item) -> Text:
        """The item as a short text."""
        text = f"e{item['_id']}" if isinstance(item, dict) else f"{type(item).__name__} {item}"
        self.made.append(text)
        return text


class SlowRenderer(Renderer):
    """Renders events when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()
        self.may.set()

    def __call__(self, item: Item) -> Text:
        """The text, or an awaitable of it."""
        text = super().__call__(item)
        return self._later(str(text)) if isinstance(item, dict) else text

    async def _later(self, text: str) -> str:
        await self.may.wait()
        await asyncio.sleep(0)
        return text


@asynccontextmanager
async def subscriber(
    hub: Hub, filter: Filter, after: int, sink: Receiver, key: object = "k", render: Callable[[], Renderer] = Renderer
) -> AsyncIterator[asyncio.Task[None]]:
    """A subscriber for the length of the block."""
    task = asyncio.create_task(hub.follow(key, filter, after, render, sink))
    try:
        yield task
    finally:
        await cancel(task)


async def until_live(*receivers: Receiver) -> None:
    """Wait until they have caught up with the log."""
    await until(lambda: all("LiveStart" in receiver.kinds for receiver in receivers))


class Announcer:
    """Stores events as an ingester does, and may announce them."""

    def __init__(self, log: Log, client: Client, stream: str) -> None:
        self._log = log
        self._client = client
        self._stream = stream

    async def store(self, *bodies: dict[str, Any]) -> list[EventDocument]:
        """Store events without announcing them."""
        at = await lease.acquire(self._log, "test", 60)
        assert at is not None
        start = at.stream_position.sequence if at.stream_position else 0
        arrivals = [Arrival("x", {}, b"", start + n, moment.now()) for n in range(1, len(bodies) + 1)]
        messages = tuple(
            AcceptedMessage(one, {"type": "a.b", "messageId": f"m{one.sequence}", "timestamp": one.recorded_at, **body})
            for one, body in zip(arrivals, bodies, strict=True)
        )
        position = StreamPosition("S", "", start + len(bodies), 0)
        stored, _ = await append(self._log, Retention({"*": 0}), at, MessageBatch(messages, position))
        return list(stored.events)

    async def tell(self, events: list[EventDocument]) -> None:
        """Announce stored events."""
        for message in live_batch.encode(events[0]["_id"] - 1, events, 1_000_000, await seal_of(self._log)):
            await self._client.publish(live_batch.subject(self._stream), message)
        await self._client.flush()

    async def beat(self, head: int) -> None:
        """Announce the head."""
        await self._client.publish(
            live_batch.subject(self._stream), live_batch.heartbeat(head, await seal_of(self._log))
        )
        await self._client.flush()

    async def happen(self, n: int = 1, **body: Any) -> list[EventDocument]:
        """Store this many events and announce them."""
        events = await self.store(*([body] * n))
        await self.tell(events)
        return events


def data(text: str) -> Any:
    """The decoded content of a payload."""
    return orjson.loads(text)
