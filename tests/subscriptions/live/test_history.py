"""Following: exactly what the log holds after the cursor, in order, whatever is lost on the way (I5)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, All, Among, Any_, Exists, Filter, Holds, Not, TypePatterns
from eventscope.store.filters.paths import Compares, Equals, Path
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from eventscope.store.state import checkpoint
from eventscope.store.values import moment
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.history import Advance, ExpiredRange, Item, LiveBreak, LiveStart, position_after
from eventscope.subscriptions.live.hub import Hub, HubState, open_hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from tests.subscriptions.support.seals import seal_of
from tests.support.until import until


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings, most_waiting: int) -> AsyncIterator[Feed]:
    async with open_feed(log, client, settings.stream, most_waiting) as feed:
        yield feed


@pytest.fixture
async def hub(log: Log, feed: Feed, limits: DeliveryLimits) -> AsyncIterator[Hub]:
    async with open_hub(log, feed, limits=limits) as hub:
        yield hub


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


async def test_history_is_delivered_first_and_then_new_events(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await _publish(client, subject_prefix, 300)
    await until(lambda: _head_is(log, 300))
    async with _following(hub, EVERYTHING, 0) as items:
        assert _positions(await _until(items, LiveStart)) == list(range(1, 301))
        await _publish(client, subject_prefix, 10)
        assert _positions(await _take(items, 10)) == list(range(301, 311))


async def test_a_cursor_resumes_with_the_next_event(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await _publish(client, subject_prefix, 30)
    await until(lambda: _head_is(log, 30))
    async with _following(hub, EVERYTHING, 20) as items:
        assert _positions(await _until(items, LiveStart)) == list(range(21, 31))


async def test_only_matching_events_are_delivered_past_and_live(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await _publish(client, subject_prefix, 20)
    await until(lambda: _head_is(log, 20))
    async with _following(hub, Among("aggregateId", ("3",)), 0) as items:
        assert _positions(await _until(items, LiveStart)) == [4, 14]
        await _publish(client, subject_prefix, 20)
        assert _positions(await _take(items, 2)) == [24, 34]


async def test_conditions_on_content_mean_the_same_for_past_and_live_events(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    holds = Holds(Path("data", ("items", "price")), (Compares("gt", 5), Compares("lt", 8.5)))
    filter = Any_(
        (
            All((holds, Not(TypePatterns(("*.deleted",))))),
            Holds(Path("data", ("order",)), (Equals(({"b": 1, "a": 2},)),)),
        )
    )
    contents: list[object] = [
        {"items": [{"price": 1}, {"price": 7}]},
        {"items": [{"price": 1}, {"price": 9}]},
        {"order": {"a": 2.0, "b": 1}},
        {"order": {"a": 2, "b": True}},
        None,
    ]

    async def publish() -> None:
        for content in contents:
            for type in ("updated", "deleted"):
                await client.publish(f"{subject_prefix}.user.{type}", orjson.dumps({"data": content}))

    await publish()
    await until(lambda: _head_is(log, 10))
    async with _following(hub, filter, 0) as items:
        assert _positions(await _until(items, LiveStart)) == [1, 5, 6]
        await publish()
        assert _positions(await _take(items, 3)) == [11, 15, 16]


async def test_a_search_through_a_long_log_reports_its_progress_and_misses_nothing(log: Log, feed: Feed) -> None:
    await _store(log, 60)
    limits = DeliveryLimits(advance_seconds=0.0)
    async with open_hub(replace(log, search=SearchLimits(window=7, patience=0.0)), feed, limits=limits) as hub:
        async with _following(hub, Not(Among("aggregateId", ("1",))), 40) as items:
            assert _positions(await _until(items, LiveStart)) == list(range(41, 61))
        async with _following(hub, Exists(Path("data", ("nowhere",))), 0) as items:
            received = await _until(items, LiveStart)
            assert received == [*(Advance(n) for n in range(7, 60, 7)), LiveStart(60)]


async def test_a_lost_batch_is_filled_from_the_log_and_reported(
    log: Log, hub: Hub, settings: Settings, client: Client, subject_prefix: str
) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        await _store(log, 5)  # without notifying the feed
        await client.publish(live_batch.subject(settings.stream), live_batch.heartbeat(5, await seal_of(log)))
        assert isinstance((await _until(items, LiveStart))[0], LiveBreak)
        await _store(log, 5)
        await client.publish(live_batch.subject(settings.stream), live_batch.heartbeat(10, await seal_of(log)))
        assert _positions(await _until(items, LiveStart)) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_with_no_live_feed_at_all_events_still_arrive(log: Log, hub: Hub) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        await _store(log, 5)
        assert _positions(await _until(items, LiveStart)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("most_waiting", [50])
async def test_a_reader_that_is_too_slow_reads_the_log_and_misses_nothing(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        await _publish(client, subject_prefix, 500)
        await until(lambda: _head_is(log, 500))
        received: list[Item] = []
        while _positions(received)[-1:] != [500]:
            received.append(await anext(items))
        assert _positions(received) == list(range(1, 501))
        assert any(isinstance(item, LiveBreak) for item in received)


async def test_a_batch_that_arrives_twice_is_passed_on_once(
    log: Log, hub: Hub, settings: Settings, client: Client
) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        await _store(log, 3)
        events = await pages.events(log, EVERYTHING, limit=10)
        for _ in range(2):
            for message in live_batch.encode(0, events, 10_000, await seal_of(log)):
                await client.publish(live_batch.subject(settings.stream), message)
        await _store(log, 1)
        [last] = await pages.events(log, EVERYTHING, above=3, limit=10)
        for message in live_batch.encode(3, [last], 10_000, await seal_of(log)):
            await client.publish(live_batch.subject(settings.stream), message)
        assert _positions(await _take(items, 4)) == [1, 2, 3, 4]


async def test_a_message_that_is_not_a_live_batch_disturbs_nobody(
    log: Log, hub: Hub, settings: Settings, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        for raw in (b"", b"{}", b"[]", b'{"previous": 1}', b"\xff"):
            await client.publish(live_batch.subject(settings.stream), raw)
        await _publish(client, subject_prefix, 1)
        assert _positions(await _take(items, 1)) == [1]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_a_filter_that_matches_nothing_still_moves_its_cursor(
    hub: Hub, feed: Feed, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with _following(hub, TypePatterns(("no.such",)), 0) as items:
        await _until(items, LiveStart)
        await until(lambda: not feed.silent)  # until then, the hub turns to the log and signals a hole
        await _publish(client, subject_prefix, 20)
        *_, passed = await _until(items, Advance)
        assert isinstance(passed, Advance)
        assert 0 < passed.position <= 20


async def test_what_expired_before_it_was_read_is_reported(log: Log, hub: Hub) -> None:
    now = moment.now()
    await _store(log, 4, recorded_at=now - 40 * moment.DAY, days=39, clock=lambda: now - 30 * moment.DAY)
    await _store(log, 2)
    async with _following(hub, EVERYTHING, 0) as items:
        received = await _until(items, LiveStart)
        assert received[0] == ExpiredRange(after=0, through=4)
        assert _positions(received) == [5, 6]
    async with _following(hub, TypePatterns(("no.such",)), 0) as items:
        assert await _until(items, LiveStart) == [LiveStart(6)]


async def test_a_subscriber_that_leaves_leaves_nothing_behind(hub: Hub, feed: Feed) -> None:
    async with _following(hub, EVERYTHING, 0) as items:
        await _until(items, LiveStart)
        assert feed.subscribers == 1
    assert feed.subscribers == 0
    assert hub.state() == HubState(0, 0, 0, 0)


@asynccontextmanager
async def _following(hub: Hub, filter: Filter, after: int) -> AsyncIterator[AsyncIterator[Item]]:
    sink = ItemSink()
    task = asyncio.create_task(hub.follow(repr(filter), filter, after, lambda: sink.render, sink))
    try:
        async with asyncio.timeout(30):
            yield sink
    finally:
        await cancel(task)


async def _until(items: AsyncIterator[Item], kind: type) -> list[Item]:
    received = [await anext(items)]
    while not isinstance(received[-1], kind):
        received.append(await anext(items))
    return received


async def _take(items: AsyncIterator[Item], count: int) -> list[Item]:
    received: list[Item] = []
    while len(_positions(received)) < count:
        received.append(await anext(items))
    return received


def _positions(items: list[Item]) -> list[int]:
    return [item["_id"] for item in items if isinstance(item, dict)]


async def _publish(client: Client, prefix: str, count: int) -> None:
    for number in range(count):
        message = {"aggregateType": "user", "aggregateId": str(number % 10)}
        await client.publish(f"{prefix}.user.updated", orjson.dumps(message))


async def _head_is(log: Log, head: int) -> bool:
    return (await checkpoint.read(log)).head == head


async def _store(
    log: Log, count: int, recorded_at: int | None = None, days: float = 0, clock: Callable[[], int] = moment.now
) -> None:
    """Store events without an ingester or a feed."""
    at = await checkpoint.acquire(log, "test", 60)
    assert at is not None
    start = at.stream_position.sequence if at.stream_position else 0
    arrivals = [Arrival("x", {}, b"", start + n, recorded_at or moment.now()) for n in range(1, count + 1)]
    messages = tuple(
        AcceptedMessage(a, {"type": "a.b", "messageId": str(a.sequence), "timestamp": a.recorded_at}) for a in arrivals
    )
    then = Log(log.mongo, clock, log.question_seconds)
    await append(then, Retention({"*": days}), at, MessageBatch(messages, StreamPosition("S", "", start + count, 0)))


async def test_a_log_that_was_dropped_and_recreated_is_followed_from_its_beginning(
    settings: Settings, log: Log, hub: Hub, client: Client
) -> None:
    await _store(log, 5)
    async with _following(hub, EVERYTHING, 2) as items:
        assert _positions(await _until(items, LiveStart)) == [3, 4, 5]
        await log.mongo.client.drop_database(settings.mongo_database)
        await _store(log, 2)
        # the feed may not be listening yet, and an ingester does this every second
        beating = asyncio.create_task(_beat(log, client, settings.stream, 2))
        try:
            received = await _until(items, LiveStart)
        finally:
            beating.cancel()
        assert _positions(received) == [1, 2]
        assert [one for one in received if isinstance(one, LiveBreak)] == [LiveBreak(0)] * 2


async def test_a_recreated_log_that_is_at_once_longer_than_the_old_one_is_followed_from_its_beginning(
    settings: Settings, log: Log, hub: Hub, client: Client
) -> None:
    async def tell(previous: int) -> None:
        events = await pages.events(log, EVERYTHING, above=previous, limit=100)
        for message in live_batch.encode(previous, events, 100_000, await seal_of(log)):
            await client.publish(live_batch.subject(settings.stream), message)

    await _store(log, 3)
    async with _following(hub, EVERYTHING, 0) as items:
        assert _positions(await _until(items, LiveStart)) == [1, 2, 3]
        await _store(log, 1)
        await tell(3)
        assert await anext(items) == (await pages.events(log, EVERYTHING, above=3, limit=1))[0]
        await log.mongo.client.drop_database(settings.mongo_database)
        await _store(log, 9)
        await tell(0)
        received = await _until(items, LiveStart)
        assert _positions(received) == [*range(1, 10)]
        assert [one for one in received if isinstance(one, LiveBreak)] == [LiveBreak(0)] * 2


async def _beat(log: Log, client: Client, stream: str, head: int) -> None:
    while True:
        await client.publish(live_batch.subject(stream), live_batch.heartbeat(head, await seal_of(log)))
        await asyncio.sleep(0.1)
