"""Others may publish on the subject of live batches: nothing they send is mistaken for an event or does harm."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest
from nats.aio.client import Client

from eventscope.background import end
from eventscope.settings import Settings
from eventscope.store.events import pages, recent_pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import secret
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.hub import Hub, open_hub
from eventscope.subscriptions.live.recent_events import keep_recent_events
from eventscope.subscriptions.live.seal import Seal
from eventscope.subscriptions.observer import Unobserved
from tests.subscriptions.support.receivers import Announcer, ImmediateReceiver, subscriber
from tests.subscriptions.support.seals import seal_of
from tests.support.until import until


class Counting(Unobserved):
    """Counts untrusted messages, by reason."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.events: list[int] = []

    def on_distrust(self, reason: str) -> None:
        self.reasons.append(reason)

    def on_arrival(self, events: Any) -> None:
        self.events += [event["_id"] for event in events]


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[Log]:
    async with open_log(settings.mongo_url, settings.mongo_database, recent=RecentEvents(100)) as log:
        await prepare(log)
        yield log


@pytest.fixture
def heard() -> Counting:
    return Counting()


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings, heard: Counting) -> AsyncIterator[Feed]:
    async with open_feed(log, client, settings.stream) as feed, keep_recent_events(log, feed):
        feed.observer = heard
        yield feed


@pytest.fixture
async def hub(log: Log, feed: Feed) -> AsyncIterator[Hub]:
    async with open_hub(log, feed) as hub:
        yield hub


def forged(*positions: int) -> list[EventDocument]:
    return [
        cast("EventDocument", {"_id": n, "messageId": f"f{n}", "type": "forged", "recordedAt": 0}) for n in positions
    ]


def unsigned(previous: int, head: int, events: list[EventDocument]) -> bytes:
    return orjson.dumps({"previous": previous, "head": head, "events": events})


async def test_forged_batches_deliver_no_events_and_hide_none(
    hub: Hub, feed: Feed, teller: Announcer, log: Log, client: Client, settings: Settings, heard: Counting
) -> None:
    sink, subject = ImmediateReceiver(), live_batch.subject(settings.stream)
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        await teller.happen(3)
        await sink.has(1, 2, 3)
        forger = Seal(b"f" * 32, 10**9)
        for raw in (
            unsigned(3, 4, forged(4)),
            next(live_batch.encode(3, forged(4), 10_000, forger)),
            unsigned(3, 1_000_000, []),
            live_batch.heartbeat(1_000_000, forger),
            live_batch.heartbeat(0, forger),
            b"",
            b"\xff" * 100,
            b'{"signature":"',
        ):
            await client.publish(subject, raw)
        await client.flush()
        await until(lambda: len(heard.reasons) == 8)
        assert sorted(set(heard.reasons)) == ["forged", "unsigned"]
        page = await recent_pages.page(log, EVERYTHING, limit=10, newest_first=True)
        assert [event["_id"] for event in page.events] == [3, 2, 1]
        await teller.happen(2)
        await sink.has(1, 2, 3, 4, 5)
    assert "forged" not in "".join(sink.texts)
    assert heard.events == [1, 2, 3, 4, 5]


async def test_a_genuine_message_that_somebody_sends_again_is_ignored(
    hub: Hub, feed: Feed, teller: Announcer, log: Log, client: Client, settings: Settings, heard: Counting
) -> None:
    said: list[bytes] = []

    async def hear(message: Any) -> None:
        said.append(message.data)

    spy = await client.subscribe(live_batch.subject(settings.stream), cb=hear)
    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        await teller.happen(3)
        await teller.beat(3)
        await teller.happen(1)
        await sink.has(1, 2, 3, 4)
        await spy.unsubscribe()
        assert log.recent is not None
        for raw in said:
            await client.publish(live_batch.subject(settings.stream), raw)
        await client.flush()
        await until(lambda: heard.reasons == ["repeated"] * len(said))
        assert log.recent.head == 4
        await teller.happen(1)
        await sink.has(1, 2, 3, 4, 5)


async def test_events_of_an_ingester_that_does_not_sign_are_read_from_the_log(
    hub: Hub, teller: Announcer, client: Client, settings: Settings
) -> None:
    """This is the case while an older version still ingests."""
    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        for n in range(1, 4):
            events = await teller.store({}, {})
            await client.publish(live_batch.subject(settings.stream), unsigned(2 * n - 2, 2 * n, events))
            await sink.has(*range(1, 2 * n + 1))


async def test_listeners_are_notified_of_events_in_unsigned_batches(
    log: Log, feed: Feed, teller: Announcer, client: Client, settings: Settings
) -> None:
    class Listening:
        missed_at = 0

        def on_events(self, events: Any) -> None: ...

        def on_any_change(self) -> None:
            self.missed_at += 1

    listening = Listening()
    with ChangeNotifier(log, feed).notify(listening):
        await teller.happen(1)
        await until(lambda: listening.missed_at)
        before = listening.missed_at
        events = await teller.store({})
        await client.publish(live_batch.subject(settings.stream), unsigned(1, 2, events))
        await until(lambda: listening.missed_at > before)


async def test_however_much_is_forged_the_log_is_read_only_a_few_times_a_second(
    hub: Hub, feed: Feed, log: Log, client: Client, settings: Settings, heard: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, keys = 0, 0
    look, key = feed.refresh, secret.key

    async def counted() -> None:
        nonlocal looks
        looks += 1
        await look()

    async def counted_key(log: Log) -> bytes | None:
        nonlocal keys
        keys += 1
        return await key(log)

    monkeypatch.setattr(feed, "refresh", counted)
    monkeypatch.setattr(secret, "key", counted_key)
    began = asyncio.get_running_loop().time()
    forger = Seal(b"f" * 32, 10**9)
    for n in range(3_000):
        await client.publish(
            live_batch.subject(settings.stream), live_batch.heartbeat(n, forger) if n % 2 else unsigned(0, n, [])
        )
    await client.flush()
    await until(lambda: len(heard.reasons) == 3_000)
    most = 2 + (asyncio.get_running_loop().time() - began) / 0.1
    assert 1 <= looks <= most
    assert 1 <= keys <= most


async def test_the_key_of_a_recreated_log_is_read_with_its_first_batch(
    hub: Hub, feed: Feed, log: Log, teller: Announcer, settings: Settings, heard: Counting
) -> None:
    sink = ImmediateReceiver()
    await teller.store({})
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        await teller.happen(2)
        await sink.has(1, 2, 3)
        await log.mongo.client.drop_database(settings.mongo_database)
        await teller.store({}, {})

        async def told() -> bool:
            await teller.beat(2)  # as an ingester does every second
            return sink.positions[-2:] == [1, 2]

        await until(told)
    assert [event["_id"] for event in await pages.events(log, EVERYTHING, limit=10)] == [1, 2]


async def test_a_log_that_was_restored_to_an_earlier_term_is_followed(
    hub: Hub, feed: Feed, log: Log, client: Client, teller: Announcer, settings: Settings
) -> None:
    key, sink = await secret.ensure(log), ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        await teller.happen(1)  # in a late term
        await sink.has(1)
        early, subject = Seal(key, 1), live_batch.subject(settings.stream)
        events = await teller.store({})
        for raw in live_batch.encode(1, events, 10_000, early):
            await client.publish(subject, raw)
        await sink.has(1, 2)
        await until(lambda: _is_trusted(feed, early))
        assert "LiveBreak" in sink.kinds


def _is_trusted(feed: Feed, seal: Seal) -> bool:
    return feed._last_order < (seal.term, seal.number + 1)


async def test_an_ingester_creates_the_key_and_a_new_api_gets_its_first_events_without_a_hole(
    hub: Hub, feed: Feed, log: Log, client: Client, subject_prefix: str, settings: Settings, heard: Counting
) -> None:
    from eventscope.server.ingester import ingest

    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: "LiveStart" in sink.kinds)
        task = asyncio.create_task(ingest(settings))
        try:
            for n in range(3):
                await client.publish(f"{subject_prefix}.a.b", b'{"data": %d}' % n)
            await sink.has(1, 2, 3)
        finally:
            await end(task)
    assert heard.reasons == []
    assert "LiveBreak" not in sink.kinds
    assert await seal_of(log)
