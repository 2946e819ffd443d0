"""Following: exactly what the log holds after the cursor, in order, past events and live ones alike (I5)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.filters.filter import EVERYTHING, All, Among, Any_, Exists, Holds, Not, TypePatterns
from eventscope.store.filters.paths import Compares, Equals, Path
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.history import Advance, ExpiredRange, LiveStart
from eventscope.subscriptions.live.hub import Hub, HubState, open_hub
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
from tests.support.until import until


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings, most_waiting: int) -> AsyncIterator[Feed]:
    async with open_feed(log, client, settings.stream, most_waiting) as feed:
        yield feed


@pytest.fixture
async def hub(log: Log, feed: Feed, limits: DeliveryLimits) -> AsyncIterator[Hub]:
    async with open_hub(log, feed, limits=limits) as hub:
        yield hub


async def test_history_is_delivered_first_and_then_new_events(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await publish_updates(client, subject_prefix, 300)
    await until(lambda: head_is(log, 300))
    async with following(hub, EVERYTHING, 0) as items:
        assert positions(await items_until(items, LiveStart)) == list(range(1, 301))
        await publish_updates(client, subject_prefix, 10)
        assert positions(await take_events(items, 10)) == list(range(301, 311))


async def test_a_cursor_resumes_with_the_next_event(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await publish_updates(client, subject_prefix, 30)
    await until(lambda: head_is(log, 30))
    async with following(hub, EVERYTHING, 20) as items:
        assert positions(await items_until(items, LiveStart)) == list(range(21, 31))


async def test_only_matching_events_are_delivered_past_and_live(
    log: Log, hub: Hub, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await publish_updates(client, subject_prefix, 20)
    await until(lambda: head_is(log, 20))
    async with following(hub, Among("aggregateId", ("3",)), 0) as items:
        assert positions(await items_until(items, LiveStart)) == [4, 14]
        await publish_updates(client, subject_prefix, 20)
        assert positions(await take_events(items, 2)) == [24, 34]


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
    await until(lambda: head_is(log, 10))
    async with following(hub, filter, 0) as items:
        assert positions(await items_until(items, LiveStart)) == [1, 5, 6]
        await publish()
        assert positions(await take_events(items, 3)) == [11, 15, 16]


async def test_a_search_through_a_long_log_reports_its_progress_and_misses_nothing(log: Log, feed: Feed) -> None:
    await store_unannounced(log, 60)
    limits = DeliveryLimits(advance_seconds=0.0)
    async with open_hub(replace(log, search=SearchLimits(window=7, patience=0.0)), feed, limits=limits) as hub:
        async with following(hub, Not(Among("aggregateId", ("1",))), 40) as items:
            assert positions(await items_until(items, LiveStart)) == list(range(41, 61))
        async with following(hub, Exists(Path("data", ("nowhere",))), 0) as items:
            received = await items_until(items, LiveStart)
            assert received == [*(Advance(n) for n in range(7, 60, 7)), LiveStart(60)]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_a_filter_that_matches_nothing_still_moves_its_cursor(
    hub: Hub, feed: Feed, client: Client, subject_prefix: str, ingesting: None
) -> None:
    async with following(hub, TypePatterns(("no.such",)), 0) as items:
        await items_until(items, LiveStart)
        await until(lambda: not feed.is_silent)  # until then, the hub turns to the log and signals a hole
        await publish_updates(client, subject_prefix, 20)
        *_, passed = await items_until(items, Advance)
        assert isinstance(passed, Advance)
        assert 0 < passed.position <= 20


async def test_what_expired_before_it_was_read_is_reported(log: Log, hub: Hub) -> None:
    now = moment.now()
    await store_unannounced(log, 4, recorded_at=now - 40 * moment.DAY, days=39, clock=lambda: now - 30 * moment.DAY)
    await store_unannounced(log, 2)
    async with following(hub, EVERYTHING, 0) as items:
        received = await items_until(items, LiveStart)
        assert received[0] == ExpiredRange(after=0, through=4)
        assert positions(received) == [5, 6]
    async with following(hub, TypePatterns(("no.such",)), 0) as items:
        assert await items_until(items, LiveStart) == [LiveStart(6)]


async def test_a_subscriber_that_leaves_leaves_nothing_behind(hub: Hub, feed: Feed) -> None:
    async with following(hub, EVERYTHING, 0) as items:
        await items_until(items, LiveStart)
        assert feed.subscribers == 1
    assert feed.subscribers == 0
    assert hub.state() == HubState(0, 0, 0, 0)
