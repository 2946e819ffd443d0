"""Clients that cancel, close or vanish end their subscriptions and leave nothing behind."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from nats.aio.client import Client

from eventscope.store.log import Log
from tests.program.support.followed_feed import Publisher, caught_up, events, follow, stored
from tests.support.api_server import RunningApi
from tests.support.clients.websocket import open_socket
from tests.support.until import until


@pytest.fixture
def publisher(client: Client, subject_prefix: str) -> Publisher:
    return Publisher(client, subject_prefix)


async def test_a_client_that_cancels_gets_nothing_more_and_its_subscription_ends(
    api: RunningApi, publisher: Publisher
) -> None:
    async with open_socket(api.socket_url) as socket:
        await follow(socket, "goes")
        await caught_up(socket)
        await follow(socket, "stays")
        await caught_up(socket)
        assert api.services.feed.subscribers == 2
        await socket.say({"id": "goes", "type": "complete"})
        await until(lambda: api.services.feed.subscribers == 1)
        await publisher.publish(3)
        for _ in range(3):
            assert (await socket.hear())["id"] == "stays"
        await socket.say({"id": "stays", "type": "complete"})
        await until(lambda: api.services.feed.subscribers == 0)


async def test_closing_the_connection_ends_the_subscription(api: RunningApi) -> None:
    async with open_socket(api.socket_url) as socket:
        await follow(socket)
        await caught_up(socket)
        assert api.services.feed.subscribers == 1
    await until(lambda: api.services.feed.subscribers == 0)


async def test_a_hundred_clients_that_vanish_leave_nothing_behind(
    api: RunningApi, log: Log, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    async def all_is_well() -> None:
        await stored(log, len(publisher.published))
        async with open_socket(api.socket_url) as socket:
            await follow(socket)
            await caught_up(socket)
            ids = await publisher.publish(1)
            assert await events(socket, 1) == ids
        await until(lambda: api.services.feed.subscribers == 0)

    await all_is_well()
    before = tasks()
    for _ in range(4):
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(open_socket(api.socket_url)) for _ in range(25)]
            for socket in sockets:
                await follow(socket, **{"from": "BEGINNING"})
                await caught_up(socket)
            assert api.services.feed.subscribers == 25
            await publisher.publish(2)
            for socket in sockets:
                socket.raw.transport.abort()
    await until(lambda: api.services.feed.subscribers == 0 and tasks() <= before)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    await all_is_well()


def tasks() -> Counter[str]:
    """The tasks in the loop, except those that only wait for an event: the ingester starts these now and then."""
    running = Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    del running["Event.wait"]
    return running
