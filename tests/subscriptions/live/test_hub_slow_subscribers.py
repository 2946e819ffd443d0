"""Subscribers that are slow, leave or fail: they cost bounded memory, delay nobody, and read history (I5)."""

from contextlib import AsyncExitStack

import pytest

from eventscope.store.filters.filter import EVERYTHING, All, Holds, Not
from eventscope.store.filters.paths import Equals, Path
from eventscope.subscriptions.live.hub import Hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits, SendBudget
from tests.subscriptions.support.receivers import (
    ALL,
    ONE,
    Announcer,
    ImmediateReceiver,
    Receiver,
    SlowRenderer,
    subscriber,
    until_live,
)
from tests.support.until import until


async def test_a_slow_subscriber_reads_history_and_delays_nobody(hub: Hub, teller: Announcer, room: SendBudget) -> None:
    slow, quick = ImmediateReceiver(), ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, slow), subscriber(hub, EVERYTHING, 0, quick):
        await until_live(slow, quick)
        slow.room.clear()
        seen = 0
        for n in range(10):
            await teller.happen(100)
            await quick.has(*range(1, (n + 1) * 100 + 1))
            assert room.waiting_bytes <= ONE
            seen = max(seen, hub.state().slowest_lag_events)
        assert seen >= 900
        slow.room.set()
        await slow.has(*range(1, 1001))
        await until(lambda: slow.kinds[-1] == "LiveStart")
        assert slow.kinds.count("LiveBreak") == slow.kinds.count("LiveStart") - 1 == 1
        await teller.happen(1)
        await slow.has(*range(1, 1002))
        assert quick.kinds == ["LiveStart", *["event"] * 1001]


async def test_all_slow_subscribers_together_hold_bounded_memory(hub: Hub, teller: Announcer, room: SendBudget) -> None:
    sinks = [Receiver() for _ in range(20)]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink))
        await until_live(*sinks)
        for sink in sinks:
            sink.room.clear()
        for _ in range(10):
            events = await teller.happen(100)
            await until(lambda head=events[-1]["_id"]: hub.position == head)  # type: ignore[misc]
            assert room.waiting_bytes <= ALL
        for sink in sinks:
            sink.room.set()
        for sink in sinks:
            await sink.has(*range(1, 1001))


@pytest.mark.parametrize("limits", [DeliveryLimits(send_seconds=0.05)])
async def test_a_subscriber_that_reads_nothing_for_too_long_is_cut_off(hub: Hub, teller: Announcer) -> None:
    live_one, catching_up = ImmediateReceiver(), Receiver()
    async with subscriber(hub, EVERYTHING, 0, live_one) as following:
        await until_live(live_one)
        live_one.room.clear()
        await teller.happen(1)
        await following
        assert live_one.was_cut
    catching_up.room.clear()
    async with subscriber(hub, EVERYTHING, 0, catching_up) as following:
        await following
        assert catching_up.was_cut


@pytest.mark.parametrize("kind", [ImmediateReceiver, Receiver])
async def test_the_subscription_of_a_client_that_has_left_ends(
    hub: Hub, teller: Announcer, kind: type[Receiver]
) -> None:
    sink, other = kind(), kind()
    async with subscriber(hub, EVERYTHING, 0, sink) as following, subscriber(hub, EVERYTHING, 0, other):
        await until_live(sink, other)
        sink.gone = True
        await teller.happen(1)
        await following
        assert not sink.was_cut
        await other.has(1)
        assert hub.state().count == 1


@pytest.mark.parametrize("way", ["put", "send"])
async def test_a_fault_in_a_sink_ends_only_its_subscriber_and_is_not_mistaken_for_a_departure(
    hub: Hub, teller: Announcer, way: str
) -> None:
    class Faulty(ImmediateReceiver):
        def put(self, body: bytes, position: int) -> bool:
            if way == "put" and not self.room.is_set():
                raise ArithmeticError
            return super().put(body, position)

        async def _send(self, text: str) -> None:
            if not self.room.is_set():
                raise ArithmeticError
            await super()._send(text)

    sink, other = Faulty(), ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink) as following, subscriber(hub, EVERYTHING, 0, other):
        await until_live(sink, other)
        sink.room.clear()
        await teller.happen(1)
        with pytest.raises(ArithmeticError):
            await following
        await other.has(1)
    async with subscriber(hub, EVERYTHING, 0, sink) as reading_history:
        with pytest.raises(ArithmeticError):
            await reading_history
    assert not sink.was_cut


async def test_a_text_that_takes_longer_to_render_arrives_in_order_and_delays_nobody_else(
    hub: Hub, teller: Announcer
) -> None:
    slowly, sink, other = SlowRenderer(), ImmediateReceiver(), ImmediateReceiver()
    async with (
        subscriber(hub, EVERYTHING, 0, sink, render=lambda: slowly),
        subscriber(hub, EVERYTHING, 0, other, key="other"),
    ):
        await until_live(sink, other)
        slowly.may.clear()
        await teller.happen(3)
        await other.has(1, 2, 3)
        late = ImmediateReceiver()
        async with subscriber(hub, EVERYTHING, 1, late):
            slowly.may.set()
            await sink.has(1, 2, 3)
            await late.has(2, 3)
            await until_live(late)
            await teller.happen(2)
            await sink.has(*range(1, 6))
            await late.has(*range(2, 6))


async def test_a_filter_that_takes_too_long_to_test_is_answered_from_the_log_and_keeps_nobody_waiting(
    hub: Hub, teller: Announcer
) -> None:
    heavy = All(tuple(Not(Holds(Path("data", ("l", "a")), (Equals((-n,)),))) for n in range(1, 99)))
    many = {"data": {"l": [{"a": n} for n in range(20_000)]}}
    slow, quick = ImmediateReceiver(), ImmediateReceiver()
    async with subscriber(hub, heavy, 0, slow, key="slow"), subscriber(hub, EVERYTHING, 0, quick, key="quick"):
        await until_live(slow, quick)
        await teller.happen(1, **many)
        await teller.happen(1, data={"l": [{"a": -5}]})
        await teller.happen(1)
        await quick.has(1, 2, 3)
        await slow.has(1, 3)
    assert "LiveBreak" in slow.kinds
    assert "LiveBreak" not in quick.kinds
