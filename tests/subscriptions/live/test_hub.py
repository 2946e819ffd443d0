"""The hub: equal subscribers share the work, and each gets exactly the log (I5)."""

import asyncio
import random
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from eventscope.store.events import pages as read
from eventscope.store.filters.filter import EVERYTHING, All, Among, Any_, Filter, Not, TypePatterns, matcher
from eventscope.store.filters.inspection import Inspection
from eventscope.store.log import Log
from eventscope.subscriptions.live.hub import Hub, HubState
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from tests.subscriptions.support.receivers import (
    Announcer,
    ImmediateReceiver,
    Receiver,
    Renderer,
    subscriber,
    until_live,
)
from tests.support.until import until


async def test_equal_subscriptions_share_one_execution_and_get_the_same(hub: Hub, teller: Announcer) -> None:
    renderer = Renderer()
    sinks = [ImmediateReceiver() for _ in range(600)]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink, render=lambda: renderer))
        await until_live(*sinks)
        await teller.happen(20)
        for sink in sinks:
            await sink.has(*range(1, 21))
        assert [text for text in renderer.made if text[0] == "e"] == [f"e{n}" for n in range(1, 21)]
        assert hub.state() == HubState(600, 1, 0, 0)


async def test_a_late_subscriber_shares_rendered_texts_and_begins_at_its_cursor(hub: Hub, teller: Announcer) -> None:
    renderer = Renderer()
    first, late, later = ImmediateReceiver(), ImmediateReceiver(), Receiver()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, first, render=lambda: renderer))
        await until_live(first)
        await teller.happen(10)
        await stack.enter_async_context(subscriber(hub, EVERYTHING, 4, late))
        await late.has(*range(5, 11))
        await stack.enter_async_context(subscriber(hub, EVERYTHING, 9, later))
        await until_live(late, later)
        await teller.happen(3)
        await first.has(*range(1, 14))
        await late.has(*range(5, 14))
        await later.has(*range(10, 14))
        assert len([text for text in renderer.made if text[0] == "e"]) == 13


async def test_different_filters_get_their_own_events(hub: Hub, teller: Announcer) -> None:
    filters: list[Filter] = [
        All((Among("aggregateType", ("user",)), Among("aggregateId", ("1",)))),
        Among("correlationId", ("c",)),
        Not(TypePatterns(("a.*",))),
        Any_((Among("userId", ("ada",)), TypePatterns(("z",)))),
    ]
    bodies: list[dict[str, Any]] = [
        {"aggregateType": "user", "aggregateId": "1"},
        {"aggregateType": "file", "aggregateId": "1", "correlationId": "c"},
        {"type": "z", "userId": "ada"},
        {},
    ]
    sinks = [ImmediateReceiver() for _ in filters]
    async with AsyncExitStack() as stack:
        for number, filter in enumerate(filters):
            await stack.enter_async_context(subscriber(hub, filter, 0, sinks[number], key=number))
        await until_live(*sinks)
        assert hub.state().cohorts == 4
        await teller.tell(await teller.store(*bodies))
        for position, sink in enumerate(sinks[:2], start=1):
            await sink.has(position)
        for sink in sinks[2:]:
            await sink.has(3)


async def test_what_arrives_twice_is_passed_on_once(hub: Hub, teller: Announcer) -> None:
    sink = ImmediateReceiver()
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until_live(sink)
        events = await teller.happen(3)
        await teller.tell(events)
        await teller.tell(events[1:])
        await teller.happen(1)
        await sink.has(1, 2, 3, 4)
        assert sink.kinds == ["LiveStart", *["event"] * 4]


@pytest.mark.parametrize("limits", [DeliveryLimits(advance_seconds=0.1)])
async def test_a_filter_that_matches_nothing_still_moves_its_cursor_once_for_all(hub: Hub, teller: Announcer) -> None:
    sinks = [ImmediateReceiver(), Receiver()]
    async with AsyncExitStack() as stack:
        for sink in sinks:
            await stack.enter_async_context(subscriber(hub, TypePatterns(("no.such",)), 0, sink))
        await until_live(*sinks)
        await teller.beat(0)  # while the feed is silent, the hub turns to the log and signals a hole
        await teller.happen(20)
        for sink in sinks:
            await until(partial(sink.texts.__contains__, "Advance Advance(position=20)"))
            assert sink.texts.count("Advance Advance(position=20)") == 1


async def test_whatever_they_select_and_however_they_stall_and_return_each_subscriber_gets_exactly_the_log(
    hub: Hub, teller: Announcer, log: Log
) -> None:
    """Random filters, stalls, breaks and resumes, and holes in the feed, while events flow."""
    dice = random.Random(11)
    filters: list[Filter] = [
        EVERYTHING,
        Among("userId", ("ada",)),
        Not(Among("userId", ("ada",))),
        All((Among("aggregateType", ("user",)), Among("aggregateId", ("1", "2")))),
        TypePatterns(("a.b", "z.*")),
    ]
    done = asyncio.Event()
    total = 3_000

    async def happen() -> None:
        stored = 0
        while stored < total:
            n = min(dice.choice([1, 1, 5, 60]), total - stored)
            bodies = [
                {
                    "type": dice.choice(["a.b", "a.c", "z.y"]),
                    "userId": dice.choice(["ada", "bob"]),
                    "aggregateType": dice.choice(["user", "file"]),
                    "aggregateId": dice.choice("123"),
                }
                for _ in range(n)
            ]
            events = await teller.store(*bodies)
            if dice.random() < 0.9:
                await teller.tell(events)
            stored += n
        done.set()

    async def resuming(number: int) -> tuple[int, Filter, list[int]]:
        mine = random.Random(number)
        place = mine.randrange(len(filters))
        start = mine.choice([0, 0, mine.randrange(50)])
        cursor, received = start, list[int]()

        async def go_on(most: int) -> None:
            target = hub.position + mine.randrange(most)
            await until(lambda: hub.position >= target or done.is_set())

        await until(lambda: hub.position >= start)
        while True:
            sink = mine.choice([ImmediateReceiver, Receiver])()
            async with subscriber(hub, filters[place], cursor, sink, key=place):
                for _ in range(mine.randrange(1, 10)):
                    if mine.random() < 0.5:
                        sink.room.clear()
                    await go_on(100)
                    sink.room.set()
                    await go_on(30)
                if done.is_set():
                    await teller.beat(total)
                    await until_live(sink)
                    await until(lambda: hub.position == total and hub.state().slowest_lag_events == 0)
                    return start, filters[place], received + sink.positions
                sink.gone = True
                received += sink.positions
            cursor = received[-1] if received else start

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        group.create_task(happen())
        subscribers = [group.create_task(resuming(number)) for number in range(40)]
    whole = [
        event for page in range(0, total, 1000) for event in await read.events(log, EVERYTHING, above=page, limit=1000)
    ]
    assert len(whole) == total
    for one in subscribers:
        start, filter, received = one.result()
        matches = matcher(filter)
        assert received == [event["_id"] for event in whole if event["_id"] > start and matches(Inspection(event))]


async def test_a_late_heartbeat_causes_no_read(hub: Hub, teller: Announcer) -> None:
    sink = ImmediateReceiver()
    await teller.store(*[{}] * 3)
    async with subscriber(hub, EVERYTHING, 0, sink):
        await until_live(sink)
        await teller.beat(1)
        await teller.happen(1)
        await sink.has(1, 2, 3, 4)
        assert "LiveBreak" not in sink.kinds
