"""Whatever the live feed loses, repeats or garbles, following delivers exactly the log (I5)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.history import Item, LiveBreak, LiveStart
from eventscope.subscriptions.live.hub import Hub, open_hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from tests.subscriptions.support.followed_items import (
    following,
    head_is,
    items_until,
    positions,
    publish_updates,
    store_unannounced,
    take_events,
)
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


async def test_a_lost_batch_is_filled_from_the_log_and_reported(
    log: Log, hub: Hub, settings: Settings, client: Client, subject_prefix: str
) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        await store_unannounced(log, 5)  # without notifying the feed
        await client.publish(live_batch.subject(settings.stream), live_batch.heartbeat(5, await seal_of(log)))
        assert isinstance((await items_until(items, LiveStart))[0], LiveBreak)
        await store_unannounced(log, 5)
        await client.publish(live_batch.subject(settings.stream), live_batch.heartbeat(10, await seal_of(log)))
        assert positions(await items_until(items, LiveStart)) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_with_no_live_feed_at_all_events_still_arrive(log: Log, hub: Hub) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        await store_unannounced(log, 5)
        assert positions(await items_until(items, LiveStart)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("most_waiting", [50])
async def test_a_reader_that_is_too_slow_reads_the_log_and_misses_nothing(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        await publish_updates(client, subject_prefix, 500)
        await until(lambda: head_is(log, 500))
        received: list[Item] = []
        while positions(received)[-1:] != [500]:
            received.append(await anext(items))
        assert positions(received) == list(range(1, 501))
        assert any(isinstance(item, LiveBreak) for item in received)


async def test_a_batch_that_arrives_twice_is_passed_on_once(
    log: Log, hub: Hub, settings: Settings, client: Client
) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        await store_unannounced(log, 3)
        events = await pages.events(log, EVERYTHING, limit=10)
        for _ in range(2):
            for message in live_batch.encode(0, events, 10_000, await seal_of(log)):
                await client.publish(live_batch.subject(settings.stream), message)
        await store_unannounced(log, 1)
        [last] = await pages.events(log, EVERYTHING, above=3, limit=10)
        for message in live_batch.encode(3, [last], 10_000, await seal_of(log)):
            await client.publish(live_batch.subject(settings.stream), message)
        assert positions(await take_events(items, 4)) == [1, 2, 3, 4]


async def test_a_message_that_is_not_a_live_batch_disturbs_nobody(
    log: Log, hub: Hub, settings: Settings, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        for raw in (b"", b"{}", b"[]", b'{"previous": 1}', b"\xff"):
            await client.publish(live_batch.subject(settings.stream), raw)
        await publish_updates(client, subject_prefix, 1)
        assert positions(await take_events(items, 1)) == [1]


async def test_a_log_that_was_dropped_and_recreated_is_followed_from_its_beginning(
    settings: Settings, log: Log, hub: Hub, client: Client
) -> None:
    await store_unannounced(log, 5)
    async with following(hub, EVERYTHING, 2) as items:
        assert positions(await items_until(items, LiveStart)) == [3, 4, 5]
        await log.mongo.client.drop_database(settings.mongo_database)
        await store_unannounced(log, 2)
        # the feed may not be listening yet, and an ingester does this every second
        beating = asyncio.create_task(_beat(log, client, settings.stream, 2))
        try:
            received = await items_until(items, LiveStart)
        finally:
            beating.cancel()
        assert positions(received) == [1, 2]
        assert [one for one in received if isinstance(one, LiveBreak)] == [LiveBreak(0)] * 2


async def test_a_recreated_log_that_is_at_once_longer_than_the_old_one_is_followed_from_its_beginning(
    settings: Settings, log: Log, hub: Hub, client: Client
) -> None:
    async def tell(previous: int) -> None:
        events = await pages.events(log, EVERYTHING, above=previous, limit=100)
        for message in live_batch.encode(previous, events, 100_000, await seal_of(log)):
            await client.publish(live_batch.subject(settings.stream), message)

    await store_unannounced(log, 3)
    async with following(hub, EVERYTHING, 0) as items:
        assert positions(await items_until(items, LiveStart)) == [1, 2, 3]
        await store_unannounced(log, 1)
        await tell(3)
        assert await anext(items) == (await pages.events(log, EVERYTHING, above=3, limit=1))[0]
        await log.mongo.client.drop_database(settings.mongo_database)
        await store_unannounced(log, 9)
        await tell(0)
        received = await items_until(items, LiveStart)
        assert positions(received) == [*range(1, 10)]
        assert [one for one in received if isinstance(one, LiveBreak)] == [LiveBreak(0)] * 2


async def _beat(log: Log, client: Client, stream: str, head: int) -> None:
    while True:
        await client.publish(live_batch.subject(stream), live_batch.heartbeat(head, await seal_of(log)))
        await asyncio.sleep(0.1)
