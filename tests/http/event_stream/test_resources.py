"""Event streams share their work, are bounded in number and memory, and leave nothing behind when they end."""

import asyncio
import signal
import socket
from contextlib import AsyncExitStack

import httpx
import orjson
import pytest
from nats.aio.client import Client

from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.http.support.feed import FEED, ids_until_caught_up, store_events
from tests.support import processes
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.sample_log import fill
from tests.support.until import until

JSON = "application/json"


async def test_while_nothing_happens_comments_keep_the_connection_open(
    settings: Settings, log: Log, client: Client
) -> None:
    query = 'subscription { aggregate(type: "user", id: "nobody") { version } }'
    async with running_api(settings, http_limits=HttpLimits(keep_seconds=0.01)) as api:
        async with open_stream(api.http, query) as stream, asyncio.timeout(60):
            async for line in stream.lines:
                stream.comments += line == ":"
                if stream.comments == 5:
                    break
        await until(lambda: api.services.aggregate_updates.count == 0)


async def test_equal_subscriptions_share_the_work_with_those_on_websockets(api: RunningApi) -> None:
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(open_stream(api.http, FEED)) for _ in range(5)]
        for stream in streams:
            assert await ids_until_caught_up(stream) == []
        state = api.services.hub.state()
        assert (state.count, state.cohorts) == (5, 1)
    await until(lambda: api.services.hub.state().count == 0)


async def test_a_hundred_clients_that_disconnect_leave_nothing_behind(api: RunningApi, log: Log) -> None:
    await store_events(log, 1)
    await api.ask("{ log { head } }")
    before = len(asyncio.all_tasks())
    host, port = api.http.base_url.host, api.http.base_url.port
    queries = [FEED, "subscription { stats { totalEvents } }", 'subscription { aggregate(type: "u", id: "1") { id } }']
    for n in range(100):
        reader, writer = await asyncio.open_connection(host, port)
        body = orjson.dumps({"query": queries[n % 3]})
        head = f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {EVENTS}\r\ncontent-type: {JSON}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readline()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
    services = api.services
    await until(
        lambda: services.feed.subscribers == services.aggregate_updates.count == services.shared_queries.count == 0
    )
    await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_client_that_stops_reading_is_dropped_and_its_memory_is_freed(
    settings: Settings, log: Log, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = orjson.dumps({"type": "a.b", "data": "x" * 100_000})
    await fill(log, [large] * 200, {"*": 0})
    async with running_api(settings, http_limits=HttpLimits(send_seconds=0.05, linger_seconds=0.05)) as api:
        host, port = api.http.base_url.host, api.http.base_url.port
        reader, writer = await asyncio.open_connection(host, port, limit=1)
        body = orjson.dumps({"query": "subscription { replay { ... on Event { data } } }"})
        head = f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {EVENTS}\r\ncontent-type: {JSON}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.read(1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is one for reading too
        dropped: list[str] = []
        monkeypatch.setattr(api.services.feed.observer, "on_drop", dropped.append)

        async def free_again() -> bool:
            return "eventscope_event_streams 0.0" in (await api.http.get("/metrics")).text

        assert not await free_again()
        await until(free_again)
        assert dropped == ["stuck"]
        assert not [one for one in asyncio.all_tasks() if "EventStream" in repr(one)]
        writer.transport.abort()


async def test_a_connection_over_the_limit_gets_the_advice_to_retry_later(
    settings: Settings, log: Log, client: Client
) -> None:
    async with running_api(settings.model_copy(update={"connections_per_address": 2})) as api:
        async with open_stream(api.http, FEED) as one, open_stream(api.http, FEED) as other:
            await ids_until_caught_up(one)
            await ids_until_caught_up(other)
            response = await api.http.post("/graphql", json={"query": FEED}, headers={"accept": EVENTS})
            assert response.status_code == 503
            assert response.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"

        async def welcome() -> bool:
            async with open_stream(api.http, FEED) as stream:
                return stream.response.status_code == 200

        await until(welcome)


async def test_when_the_server_stops_streams_end_at_once_without_a_complete(
    settings: Settings, log: Log, client: Client
) -> None:
    await store_events(log, 1)
    settings = settings.model_copy(update={"port": free()})
    async with (
        processes.eventscope_process(settings, "serve", "--no-ingest") as process,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.port}", timeout=60.0) as http,
    ):

        async def up() -> bool:
            try:
                return (await http.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up)
        async with open_stream(http, FEED, **{"from": "BEGINNING"}) as stream:
            await ids_until_caught_up(stream)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(EOFError):
                await stream.hear()
        assert await process.wait() == 0
