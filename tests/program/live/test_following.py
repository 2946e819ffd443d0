"""Subscriptions: exactly the events of the log after a place in it, in order (I5)."""

import asyncio

import nats
import orjson
import pytest
from nats.aio.client import Client

from eventscope.resolvers import cursor, same_log
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from tests.program.support.followed_feed import Publisher, caught_up, delivery, events, follow, stored
from tests.support.api_server import RunningApi
from tests.support.clients.websocket import open_socket, subscribe


@pytest.fixture
def publisher(client: Client, subject_prefix: str) -> Publisher:
    return Publisher(client, subject_prefix)


async def test_from_now_past_events_are_left_out(api: RunningApi, log: Log, publisher: Publisher) -> None:
    await publisher.publish(5)
    await stored(log, 5)
    async with open_socket(api.socket_url) as socket:
        await follow(socket)
        assert await caught_up(socket) == ([], cursor.encode("e", 5, tag=await same_log.tag(log)))
        ids = await publisher.publish(3)
        assert await events(socket, 3) == ids


async def test_from_the_beginning_all_past_events_come_first_and_then_new_ones(
    api: RunningApi, log: Log, publisher: Publisher
) -> None:
    before = await publisher.publish(450)
    await stored(log, 450)
    async with open_socket(api.socket_url) as socket:
        await follow(socket, **{"from": "BEGINNING"})
        assert await caught_up(socket) == (before, cursor.encode("e", 450, tag=await same_log.tag(log)))
        ids = await publisher.publish(3)
        assert await events(socket, 3) == ids


async def test_exactly_the_events_after_a_cursor_are_delivered(api: RunningApi, log: Log, publisher: Publisher) -> None:
    ids = await publisher.publish(10)
    await stored(log, 10)
    async with open_socket(api.socket_url) as socket:
        # a cursor outranks a start
        await follow(socket, after=cursor.encode("e", 4, tag=None), **{"from": "BEGINNING"})
        assert (await caught_up(socket))[0] == ids[4:]
        await follow(socket, "replayed", after=cursor.encode("e", 7, 8, tag=None))
        assert (await caught_up(socket))[0] == ids[7:]


async def test_a_filter_applies_to_past_and_new_events_alike(api: RunningApi, log: Log, publisher: Publisher) -> None:
    async def some() -> list[str]:
        mine: list[str] = []
        for n in range(10):
            await publisher.publish(1, "other.happened", userId="alice")
            await publisher.publish(1, "thing.happened", userId="bob")
            mine += await publisher.publish(n % 3, "thing.happened", userId="alice")
        return mine

    before = await some()
    await stored(log, len(publisher.published))
    async with open_socket(api.socket_url) as socket:
        filter = {"eventTypes": ["thing.*"], "userId": "alice"}
        await follow(socket, filter=filter, **{"from": "BEGINNING"})
        assert (await caught_up(socket))[0] == before
        after = await some()
        assert await events(socket, len(after)) == after


async def test_a_subscriber_that_starts_while_events_come_in_gets_each_once_and_in_order(
    api: RunningApi, log: Log, settings: Settings, subject_prefix: str
) -> None:
    """Publishers on several connections at once, and followers that start at any time and place."""
    total = 600

    async def publish(worker: int) -> None:
        client = await nats.connect(settings.nats_url)
        for n in range(total // 4):
            payload = orjson.dumps({"messageId": f"w{worker}-{n}"})
            await client.publish(f"{subject_prefix}.thing.happened", payload)
            if n % 25 == 0:
                await client.flush()
        await client.close()

    async def followed(start: int) -> list[str]:
        await stored(log, start)
        async with open_socket(api.socket_url) as socket:
            await follow(socket, after=cursor.encode("e", start, tag=None))
            return await events(socket, total - start)

    publishing = [asyncio.create_task(publish(worker)) for worker in range(4)]
    received = await asyncio.gather(*(followed(start) for start in (0, 0, 10, 100, 300, 590)))
    await asyncio.gather(*publishing)
    whole = [event["messageId"] for event in await pages.events(log, EVERYTHING, limit=total + 1)]
    assert len(whole) == total
    for ids in received:
        assert ids == whole[total - len(ids) :]


async def test_a_client_that_reconnects_with_its_last_cursor_misses_and_repeats_nothing(
    api: RunningApi, log: Log, publisher: Publisher
) -> None:
    received: list[str] = []
    after = None
    for _ in range(5):
        await publisher.publish(20)
        async with open_socket(api.socket_url) as socket:
            await follow(socket, after=after, **{"from": "BEGINNING"})
            for _ in range(13):
                while (one := await delivery(socket))["__typename"] != "Event":
                    after = one["cursor"]
                received.append(one["id"])
                after = one["cursor"]
            socket.raw.transport.abort()
    assert received == publisher.published[: len(received)]
    assert len(received) == 65


async def test_fields_with_resolvers_work_on_each_delivered_event(
    api: RunningApi, log: Log, publisher: Publisher
) -> None:
    """What is read for one event is not charged to the next."""
    await publisher.publish(30, aggregateType="thing", aggregateId="t1")
    await stored(log, 30)
    query = """subscription { events(from: BEGINNING) {
      ... on Event { version aggregate { version events(first: 1000) { pageInfo { hasNextPage } } } }
    } }"""
    async with open_socket(api.socket_url) as socket:
        await socket.say(subscribe("1", query))
        for version in range(1, 31):
            one = await delivery(socket)
            assert one["version"] == version
            # the head in its present state, not in the state of that time
            assert one["aggregate"] == {"version": 30, "events": {"pageInfo": {"hasNextPage": False}}}


async def test_several_operations_on_one_connection_do_not_disturb_each_other(
    api: RunningApi, log: Log, publisher: Publisher
) -> None:
    ids = await publisher.publish(40)
    await stored(log, 40)
    async with open_socket(api.socket_url) as socket:
        for n in range(4):
            await follow(socket, f"s{n}", after=cursor.encode("e", n * 10, tag=None))
        heard: dict[str, list[str]] = {f"s{n}": [] for n in range(4)}
        waiting = set(heard)
        while waiting:
            message = await socket.hear()
            one = message["payload"]["data"]["events"]
            if one["__typename"] == "CaughtUp":
                waiting.remove(message["id"])
            else:
                heard[message["id"]].append(one["id"])
    assert heard == {f"s{n}": ids[n * 10 :] for n in range(4)}
