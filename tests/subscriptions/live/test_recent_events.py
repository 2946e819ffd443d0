"""The recent events of a running API: read from the log, extended by the live feed, never used beyond what is known."""

from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log, open_log
from eventscope.store.recent_events import RecentEvents
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.recent_events import keep_recent_events
from tests.subscriptions.support.receivers import Announcer
from tests.support.network_proxy import Proxy, running_proxy
from tests.support.until import until


@pytest.fixture
def recent() -> RecentEvents:
    return RecentEvents(300)


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings) -> AsyncIterator[Feed]:
    async with open_feed(log, client, settings.stream) as feed:
        yield feed


@pytest.fixture
async def line(mongo_url: str) -> AsyncIterator[Proxy]:
    port = urlsplit(mongo_url).port
    assert port is not None
    async with running_proxy(port) as line:
        yield line


def holds(recent: RecentEvents, floor: int, head: int) -> bool:
    return (recent.floor, recent.head, len(recent)) == (floor, head, head - floor)


async def test_at_the_start_the_newest_events_are_read_from_the_log(
    log: Log, feed: Feed, teller: Announcer, recent: RecentEvents
) -> None:
    await teller.store(*[{}] * 400)
    async with keep_recent_events(replace(log, recent=recent), feed):
        await until(lambda: holds(recent, 250, 400))


async def test_a_short_log_is_kept_completely(log: Log, feed: Feed, teller: Announcer, recent: RecentEvents) -> None:
    await teller.store(*[{}] * 60)
    async with keep_recent_events(replace(log, recent=recent), feed):
        await until(lambda: holds(recent, 0, 60))


async def test_new_events_come_from_the_live_feed_and_push_out_the_oldest(
    log: Log, feed: Feed, teller: Announcer, recent: RecentEvents
) -> None:
    async with keep_recent_events(replace(log, recent=recent), feed):
        await until(lambda: holds(recent, 0, 0))
        await teller.happen(100)
        await until(lambda: holds(recent, 0, 100))
        await teller.happen(250)
        await until(lambda: holds(recent, 50, 350))


async def test_after_a_hole_the_newest_events_are_read_again(
    log: Log, feed: Feed, teller: Announcer, recent: RecentEvents
) -> None:
    async with keep_recent_events(replace(log, recent=recent), feed, look_seconds=0.02):
        await until(lambda: holds(recent, 0, 0))
        await teller.happen(100)
        await teller.store(*[{}] * 5)
        await teller.happen(3)
        await until(lambda: holds(recent, 0, 108))
        await teller.store(*[{}] * 500)
        await teller.beat(608)
        await until(lambda: holds(recent, 458, 608))


async def test_while_mongodb_is_down_the_recent_events_wait_for_it(
    settings: Settings,
    log: Log,
    feed: Feed,
    teller: Announcer,
    recent: RecentEvents,
    line: Proxy,
) -> None:
    await teller.store(*[{}] * 10)
    await line.cut()
    url = f"mongodb://{line.host}/?directConnection=true"
    async with (
        open_log(url, settings.mongo_database, "pymongo", question_seconds=0.5, recent=recent) as far,
        keep_recent_events(far, feed, look_seconds=0.02),
    ):
        await teller.happen(2)
        await until(lambda: holds(recent, 10, 12))
        await line.heal()
        await until(lambda: holds(recent, 0, 12))


async def test_a_process_that_no_longer_keeps_recent_events_does_not_answer_from_them(
    log: Log, feed: Feed, teller: Announcer, recent: RecentEvents
) -> None:
    async with keep_recent_events(replace(log, recent=recent), feed):
        await teller.happen(5)
        await until(lambda: recent.head == 5)
    assert recent.head is None
    assert feed.recent is None


async def test_a_log_without_recent_events_gets_none(log: Log, feed: Feed) -> None:
    async with keep_recent_events(log, feed):
        assert feed.recent is None
