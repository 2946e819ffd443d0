"""Whatever fails within live delivery is logged, and every subscriber has exactly the log afterwards (I5)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.settings import Settings
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.ingest.ingester import Ingester
from eventscope.subscriptions.live import recent_events
from eventscope.subscriptions.live.feed import Feed, open_feed
from eventscope.subscriptions.live.history import Item
from eventscope.subscriptions.live.hub import Hub, HubState, open_hub
from eventscope.subscriptions.live.recent_events import keep_recent_events
from eventscope.subscriptions.live.subscriber import SendBudget, Text
from eventscope.subscriptions.observer import GuardedIngestObserver
from tests.subscriptions.support.receivers import (
    Announcer,
    ImmediateReceiver,
    Receiver,
    Renderer,
    SlowRenderer,
    subscriber,
)
from tests.support.ingesters import publish, wait_for_events
from tests.support.until import until


class Broken(Exception):
    """An unforeseen error."""


class FailsOnce(Renderer):
    """Fails at one event, the first time that it is rendered."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self._fails_at: int | None = position

    def fails(self, item: Item) -> bool:
        """Whether the item is that event, seen for the first time."""
        if isinstance(item, dict) and item["_id"] == self._fails_at:
            self._fails_at = None
            return True
        return False

    def __call__(self, item: Item) -> Text:
        if self.fails(item):
            raise Broken
        return super().__call__(item)


class FailsLater(FailsOnce, SlowRenderer):
    """Fails when the text is awaited."""

    def __call__(self, item: Item) -> Text:
        return self._broken() if self.fails(item) else SlowRenderer.__call__(self, item)

    async def _broken(self) -> str:
        await self.may.wait()
        raise Broken


class FailsToEncodeLater(FailsOnce, SlowRenderer):
    """Returns a text later that cannot be encoded."""

    def __call__(self, item: Item) -> Text:
        return self._later("\ud800") if self.fails(item) else SlowRenderer.__call__(self, item)


class RaisingObserver:
    """Raises in every method."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*_: Any) -> None:
            raise Broken(name)

        return fail


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings) -> AsyncIterator[Feed]:
    async with open_feed(log, client, settings.stream) as feed:
        yield feed


@pytest.fixture
def room() -> SendBudget:
    return SendBudget(1_000_000, 1_000_000)


@pytest.fixture
async def hub(log: Log, feed: Feed, room: SendBudget) -> AsyncIterator[Hub]:
    async with open_hub(log, feed, room) as hub:
        yield hub
        await until(lambda: hub.state() == HubState(0, 0, 0, 0))


@pytest.mark.parametrize("kind", [FailsOnce, FailsLater, FailsToEncodeLater])
@pytest.mark.parametrize("position", [1, 2, 6])
async def test_an_event_that_cannot_be_rendered_at_first_is_read_from_the_store(
    hub: Hub,
    teller: Announcer,
    room: SendBudget,
    caplog: pytest.LogCaptureFixture,
    kind: type[FailsOnce],
    position: int,
) -> None:
    renderer = kind(position)
    quick, slow, other = ImmediateReceiver(), Receiver(), ImmediateReceiver()
    async with (
        subscriber(hub, EVERYTHING, 0, other, key="others"),
        subscriber(hub, EVERYTHING, 0, quick, render=lambda: renderer),
        subscriber(hub, EVERYTHING, 0, slow, render=lambda: renderer),
    ):
        await until(lambda: all("LiveStart" in sink.kinds for sink in (quick, slow, other)))
        if isinstance(renderer, SlowRenderer):
            renderer.may.clear()
        events = await teller.happen(6)
        await until(lambda: hub.position == 6)
        if isinstance(renderer, SlowRenderer):
            renderer.may.set()
        await quick.has(*range(1, 7))
        await slow.has(*range(1, 7))
        await teller.happen(3)
        for sink in (quick, slow, other):
            await sink.has(*range(1, 10))
        assert len(events) == 6
        assert other.kinds == ["LiveStart", *["event"] * 9]  # nobody else notices
        await until(lambda: room.waiting_bytes == 0)
    assert [record.levelno for record in caplog.records if "errorId" in record.message] == [logging.ERROR]


async def test_an_observer_that_fails_neither_stops_delivery_nor_changes_its_order(
    hub: Hub, feed: Feed, teller: Announcer, caplog: pytest.LogCaptureFixture
) -> None:
    feed.observer = RaisingObserver()
    feed.recent = recent = RecentEvents(100)
    recent.restart(0)
    quick, slow = ImmediateReceiver(), SlowRenderer()
    late = Receiver()
    async with (
        subscriber(hub, EVERYTHING, 0, quick),
        subscriber(hub, EVERYTHING, 0, late, key="slow", render=lambda: slow),
    ):
        await until(lambda: "LiveStart" in quick.kinds and "LiveStart" in late.kinds)
        for _ in range(4):
            await teller.happen(5)
        await quick.has(*range(1, 21))
        await late.has(*range(1, 21))
        assert quick.kinds == ["LiveStart", *["event"] * 20]
        assert recent.head == 20
    assert len([record for record in caplog.records if "errorId" in record.message]) == 1


async def test_recent_events_that_fail_on_a_batch_stop_no_delivery_and_are_filled_again(
    log: Log, hub: Hub, feed: Feed, teller: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, recent = ImmediateReceiver(), RecentEvents(100)

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise Broken

    async with keep_recent_events(replace(log, recent=recent), feed), subscriber(hub, EVERYTHING, 0, quick):
        await until(lambda: "LiveStart" in quick.kinds and recent.head == 0)
        monkeypatch.setattr(recent, "add", fail)
        await teller.happen(5)
        await quick.has(*range(1, 6))
        await until(lambda: (recent.head, len(recent)) == (5, 5))
        await teller.happen(5)
        await quick.has(*range(1, 11))
        await until(lambda: (recent.head, len(recent)) == (10, 10))


async def test_filling_the_recent_events_continues_after_an_unforeseen_error(
    log: Log, feed: Feed, teller: Announcer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill = recent_events.fill
    failures = 0

    async def sometimes(log: Log, recent: RecentEvents) -> None:
        nonlocal failures
        failures += 1
        if failures < 3:
            raise Broken
        await fill(log, recent)

    monkeypatch.setattr(recent_events, "fill", sometimes)
    recent = RecentEvents(100)
    await teller.store(*[{}] * 10)
    async with keep_recent_events(replace(log, recent=recent), feed, look_seconds=0.01, failed_seconds=0.0):
        await until(lambda: (recent.head, len(recent)) == (10, 10))
    assert len([record for record in caplog.records if "errorId" in record.message]) == 2


async def test_an_ingester_continues_when_nothing_can_be_counted(
    log: Log, client: Client, settings: Settings, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    ingester = Ingester(
        log,
        client,
        client.jetstream(),
        settings.stream,
        settings.subjects,
        Retention({}),
        10,
        1.0,
        observer=GuardedIngestObserver(RaisingObserver()),
    )
    task = asyncio.create_task(ingester.run())
    await publish(client, subject_prefix, 30)
    assert [event["data"] for event in await wait_for_events(log, 30)] == list(range(30))
    await cancel(task)
    assert len([record for record in caplog.records if "errorId" in record.message]) == 1
