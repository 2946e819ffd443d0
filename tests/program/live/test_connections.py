"""Limits and ends of connections: each client learns the reason, and continues where there is room."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from nats.aio.client import Client
from strawberry.exceptions import ConnectionRejectionError

from eventscope.http.endpoint import Endpoint
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.program.support.socket_feed import FEED, Publisher, caught_up, event, events, figure
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import INIT, open_socket, subscribe
from tests.support.until import until


@pytest.fixture
def publisher(client: Client, subject_prefix: str) -> Publisher:
    return Publisher(client, subject_prefix)


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
async def test_a_connection_over_the_limit_is_closed_with_1013_until_there_is_room(
    settings: Settings, log: Log, client: Client, limit: str
) -> None:
    async with running_api(settings.model_copy(update={limit: 2})) as api, open_socket(api.socket_url) as first:
        async with open_socket(api.socket_url), open_socket(api.socket_url, init=False) as third:
            code, reason, heard = await third.end()
            assert (code, heard) == (1013, [])
            assert "try again later" in reason
            assert await figure(api, "dropped_connections_total", reason="full") == 1
        async with AsyncExitStack() as stack:
            await until(lambda: _admitted(stack, api))
        assert await first.is_open()


async def _admitted(stack: AsyncExitStack, api: RunningApi) -> bool:
    socket = await stack.enter_async_context(open_socket(api.socket_url, init=False))
    await socket.say({"type": "ping"})
    with suppress(Exception):
        return bool(await socket.hear() == {"type": "pong"})
    return False


@pytest.mark.parametrize(
    ("error", "code"), [(ArithmeticError("hunter2"), 4500), (ConnectionRejectionError(), 4403), (None, 4408)]
)
async def test_a_client_that_is_not_acknowledged_gets_the_reason(
    settings: Settings,
    log: Log,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
    code: int,
) -> None:

    async def on_ws_connect(self: Endpoint, context: object) -> None:
        if error is not None:
            raise error
        await asyncio.Event().wait()

    monkeypatch.setattr(Endpoint, "on_ws_connect", on_ws_connect)
    limits = HttpLimits(init_seconds=0.1)
    async with running_api(settings, http_limits=limits) as api, open_socket(api.socket_url, init=False) as socket:
        await socket.say(INIT)
        found, reason, heard = await socket.end()
        assert (found, heard) == (code, [])
        assert "hunter2" not in reason


async def test_frames_are_not_compressed_even_for_clients_that_offer_it(api: RunningApi) -> None:
    async with open_socket(api.socket_url) as socket:
        assert "permessage-deflate" in str(socket.raw.request)
        assert socket.raw.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.raw.response.headers


async def test_when_a_server_stops_each_client_gets_1012_and_continues_at_another(
    settings: Settings, log: Log, client: Client, ingesting: None, publisher: Publisher
) -> None:
    async with running_api(settings) as other, AsyncExitStack() as stack:
        cursors: list[str] = []
        async with AsyncExitStack() as first:
            api = await first.enter_async_context(running_api(settings))
            leaving = [await stack.enter_async_context(open_socket(api.socket_url)) for _ in range(5)]
            for socket in leaving:
                await caught_up(socket)
            await publisher.publish(7)
            for socket in leaving:
                for _ in range(7):
                    last = await event(socket)
                cursors.append(last["cursor"])
        for socket in leaving:
            assert (await socket.end())[0] == 1012
        await publisher.publish(7)
        async with asyncio.timeout(60):
            for cursor in cursors:
                socket = await stack.enter_async_context(open_socket(other.socket_url))
                await socket.say(subscribe("1", FEED, variables={"after": cursor}))
                assert await events(socket, 7) == list(range(8, 15))
