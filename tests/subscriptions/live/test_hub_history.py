"""The hub and the log: when subscribers read from the log, and that they then get each event once (I5)."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eventscope.store.filters.filter import EVERYTHING, Among, TypePatterns
from eventscope.store.log import Log
from eventscope.subscriptions.live import paging
from eventscope.subscriptions.live.history import LiveBreak
from eventscope.subscriptions.live.hub import Hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits, SendBudget
from tests.subscriptions.support.receivers import (
    ALL,
    Announcer,
    ImmediateReceiver,
    Receiver,
    Renderer,
    SlowRenderer,
    subscriber,
    until_live,
)
from tests.support.until import until

LARGE = 300 * 1024  # bytes of an event


async def test_what_was_read_from_the_log_does_not_arrive_again_live(hub: Hub, teller: Announcer) -> None:
    class Hesitating(Receiver):
        async def _send(self, text: str) -> None:
            if text.startswith("LiveStart"):
                hesitating.set()
                await self.room.wait()
            self.texts.append(text)

    hesitating, sink, other = asyncio.Event(), Hesitating(), ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, other):
        await until_live(other)
        events = await teller.store(*[{}] * 3)
        sink.room.clear()
        async with subscriber(hub, EVERYTHING, 0, sink):
            await hesitating.wait()
            await teller.tell(events)
            await other.has(1, 2, 3)
            await teller.happen(1)
            await other.has(1, 2, 3, 4)
            sink.room.set()
            await sink.has(1, 2, 3, 4)
            assert sink.kinds == [*["event"] * 3, "LiveStart", "event"]


@pytest.mark.parametrize("limits", [DeliveryLimits(hold_seconds=0.0)])
async def test_a_subscriber_that_waits_long_drops_what_was_read_ahead_and_it_is_read_again(
    hub: Hub, teller: Announcer
) -> None:
    class Hesitating(Receiver):
        async def _send(self, text: str) -> None:
            if text == "e5":
                await self.room.wait()
            self.texts.append(text)

    await teller.store(*[{}] * 50)
    sink = Hesitating()
    sink.room.clear()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until(lambda: sink.positions == [1, 2, 3, 4])
        [reading] = [one._reader for cohort in hub._cohorts.values() for one in cohort.subscribers]
        await until(lambda: not reading._page)
        sink.room.set()
        await sink.has(*range(1, 51))


async def test_a_page_of_large_events_is_small_and_one_of_small_events_is_large(hub: Hub, teller: Announcer) -> None:
    class Counting(Receiver):
        async def _send(self, text: str) -> None:
            [one] = [one._reader for cohort in hub._cohorts.values() for one in cohort.subscribers]
            pages.append(len(one._page))
            self.texts.append(text)

    pages: list[int] = []
    await teller.store(*[{}] * 400)
    for _ in range(4):
        await teller.store(*[{"data": "x" * LARGE}] * 10)
    await teller.store(*[{}] * 400)
    async with subscriber(hub, EVERYTHING, 400, sink := Counting()):
        await sink.has(*range(401, 841))
        # what waits besides the one that is being sent
        assert max(pages[:39]) * LARGE < 1.5 * paging.MOST_BYTES
        assert max(pages) == paging.MOST - 1


@pytest.mark.parametrize("limits", [DeliveryLimits(lag_seconds=0.01)])
async def test_a_hub_that_is_ahead_of_the_log_waits_for_it(hub: Hub, teller: Announcer) -> None:
    ahead, sink = ImmediateReceiver(), ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, ahead):
        await until_live(ahead)
        await teller.beat(3)
        await until(lambda: hub.position == 3)
        async with subscriber(hub, EVERYTHING, 0, sink):
            await teller.store({})
            await sink.has(1)
            assert sink.kinds == ["event"]
            await teller.store({}, {})
            await sink.has(1, 2, 3)
            await until_live(sink)
            await teller.happen(1)
            await sink.has(1, 2, 3, 4)


async def test_subscribers_that_fall_back_to_the_log_still_get_what_is_being_sent(hub: Hub, teller: Announcer) -> None:
    class Disturbing(ImmediateReceiver):
        def put(self, body: bytes, position: int) -> bool:
            taken = super().put(body, position)
            if body == b"e2":
                hub._fall_back()
            return taken

    sinks = [ImmediateReceiver(), Disturbing(), ImmediateReceiver(), ImmediateReceiver()]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink, render=SlowRenderer))
        await until_live(*sinks)
        await teller.happen(3)
        for sink in sinks:
            await sink.has(1, 2, 3)
            assert sink.kinds.count("LiveBreak") == 1


async def test_what_was_lost_live_is_read_once_for_all_and_reported(hub: Hub, teller: Announcer) -> None:
    renderer, sinks = Renderer(), [ImmediateReceiver() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink, render=lambda: renderer))
        await until_live(*sinks)
        await teller.store(*[{}] * 5)  # without an announcement
        await teller.happen(2)
        await teller.store(*[{}] * 5)
        await teller.beat(12)
        for sink in sinks:
            await sink.has(*range(1, 13))
            await until(lambda sink=sink: sink.kinds[-1] == "LiveStart")  # type: ignore[misc]
            lost = ["LiveBreak", *["event"] * 5, "LiveStart"]
            assert sink.kinds == ["LiveStart", *lost, "event", "event", *lost]
        assert len([text for text in renderer.made if text[0] == "e"]) == 12


@pytest.mark.parametrize("limits", [DeliveryLimits(most_filled=3)])
async def test_each_subscriber_reads_a_long_hole_by_itself(hub: Hub, teller: Announcer) -> None:
    all, some = ImmediateReceiver(), ImmediateReceiver()
    wanted = Among("userId", ("ada",))
    async with subscriber(hub, EVERYTHING, 0, all), subscriber(hub, wanted, 0, some, key="some"):
        await until_live(all, some)
        await teller.store({"userId": "ada"}, *[{}] * 9)
        await teller.beat(10)
        await all.has(*range(1, 11))
        await some.has(1)
        await teller.happen(1, userId="ada")
        await all.has(*range(1, 12))
        await some.has(1, 11)
        assert some.kinds == ["LiveStart", "LiveBreak", "event", "LiveStart", "event"]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_with_no_live_feed_at_all_events_still_arrive(hub: Hub, teller: Announcer) -> None:
    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until_live(sink)
        for n in range(1, 4):
            await teller.store({})
            await sink.has(*range(1, n + 1))


@pytest.mark.parametrize("most_waiting", [5])
async def test_batches_for_which_the_hub_is_too_slow_are_read_from_the_log(hub: Hub, teller: Announcer) -> None:
    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until_live(sink)
        await teller.happen(10)
        await teller.beat(10)
        await sink.has(*range(1, 11))
        assert "LiveBreak" in sink.kinds


async def test_a_text_that_takes_too_long_to_render_makes_its_subscribers_read_the_log(
    hub: Hub, teller: Announcer, room: SendBudget
) -> None:
    slowly, sinks = SlowRenderer(), [ImmediateReceiver() for _ in range(3)]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink, render=lambda: slowly))
        await until_live(*sinks)
        await teller.happen(2)
        for sink in sinks:
            await sink.has(1, 2)
        slowly.may.clear()
        events = await teller.happen(100)
        await until(lambda: hub.position == events[-1]["_id"])
        assert room.waiting_bytes <= ALL
        slowly.may.set()
        for sink in sinks:
            await sink.has(*range(1, 103))
        await teller.happen(1)
        for sink in sinks:
            await sink.has(*range(1, 104))
            assert "LiveBreak" in sink.kinds


@pytest.mark.parametrize("limits", [DeliveryLimits(retry_seconds=0.0)])
async def test_after_an_unforeseen_error_all_read_the_log_and_live_delivery_continues(
    hub: Hub, teller: Announcer, caplog: pytest.LogCaptureFixture
) -> None:
    class Stumbling(Renderer):
        def __call__(self, item: Any) -> str:
            if isinstance(item, dict) and item["_id"] == 2 and not caplog.records:
                raise ArithmeticError
            return str(super().__call__(item))

    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink, render=Stumbling):
        await until_live(sink)
        await teller.happen(3)
        await sink.has(1, 2, 3)
        await teller.happen(1)
        await sink.has(1, 2, 3, 4)
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_a_log_that_was_dropped_and_recreated_is_read_from_its_beginning(
    hub: Hub, teller: Announcer, log: Log
) -> None:
    sink, late = ImmediateReceiver(), ImmediateReceiver()
    await teller.store(*[{}] * 5)
    async with subscriber(hub, EVERYTHING, 2, sink):
        await until_live(sink)
        await teller.happen(2)
        await sink.has(3, 4, 5, 6, 7)
        await log.mongo.client.drop_database(log.mongo.database.name)
        await teller.store({}, {})
        await teller.beat(2)
        await until(lambda: sink.positions == [3, 4, 5, 6, 7, 1, 2])
        async with subscriber(hub, TypePatterns(("a.b",)), 0, late):
            await until_live(late)
            await teller.happen(1)
            await until(lambda: sink.positions == [3, 4, 5, 6, 7, 1, 2, 3])
            await late.has(1, 2, 3)
    # with positions that exist in the log, since cursors are made of them
    assert [text for text in sink.texts if text.startswith("LiveBreak")] == [f"LiveBreak {LiveBreak(0)}"] * 2


async def test_a_recreated_log_that_is_at_once_longer_than_the_old_one_is_read_from_its_beginning(
    hub: Hub, teller: Announcer, log: Log
) -> None:
    sink = ImmediateReceiver()
    await teller.store(*[{}] * 3)
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until_live(sink)
        await teller.happen(2)
        await sink.has(1, 2, 3, 4, 5)
        await log.mongo.client.drop_database(log.mongo.database.name)
        await teller.happen(9)
        await until(lambda: len(sink.positions) >= 14)
        assert sink.positions == [*range(1, 6), *range(1, 10)]
        await teller.happen(1)
        await sink.has(*range(1, 6), *range(1, 11))
