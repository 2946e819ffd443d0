"""Live delivery over real sockets: subscribers share the work, and those that do not read delay nobody."""

import asyncio
import socket as sockets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from nats.aio.client import Client

from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from tests.program.support.socket_feed import FEED, Publisher, caught_up, events, figure
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import INIT, PROTOCOL, open_socket, subscribe
from tests.support.until import until

NESTED = "subscription { events { ... on Event { id aggregate { version events(first: 5000) { nodes { id } } } } } }"


@pytest.fixture
def publisher(client: Client, subject_prefix: str) -> Publisher:
    return Publisher(client, subject_prefix)


async def test_equal_subscriptions_share_the_work_wherever_they_began(
    api: RunningApi, publisher: Publisher, log: Log
) -> None:
    await publisher.publish(5)
    await until(lambda: _stored(log, 5))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(open_socket(api.socket_url)) for _ in range(6)]
        for number, socket in enumerate(clients):
            await socket.say(subscribe(f"o{number}", FEED, variables={"after": f"e{number:x}"}))
        for number, socket in enumerate(clients):
            assert await events(socket, 5 - number) == list(range(number + 1, 6))
        await publisher.publish(2)
        for socket in clients:
            assert await events(socket, 2) == [6, 7]
        state = api.services.hub.state()
        assert (state.count, state.cohorts) == (6, 1)
        assert await figure(api, "cohorts") == 1
        assert await figure(api, "followers") == 6
        assert await figure(api, "delivered_events_total") == 6 * 2 + 15
        assert await figure(api, "fan_out_seconds_count") >= 2
    await until(lambda: api.services.hub.state().cohorts == 0)


async def test_an_error_in_an_event_reaches_every_subscriber(api: RunningApi, publisher: Publisher) -> None:
    async with open_socket(api.socket_url) as one, open_socket(api.socket_url) as other:
        for socket in (one, other):
            await socket.say(subscribe("1", NESTED))
            assert (await socket.hear())["payload"] == {"data": {"events": {}}}
        await publisher.publish(1, aggregateType="thing", aggregateId="t1")
        for socket in (one, other):
            message = await socket.hear()
            assert message["payload"]["data"] is None or message["payload"]["data"]["events"]["aggregate"] is None
            [error] = message["payload"]["errors"]
            assert error["extensions"]["code"] == "PAGE_TOO_LARGE"
            assert await socket.is_open()


async def test_a_cancelled_operation_sends_nothing_more_under_its_id(api: RunningApi, publisher: Publisher) -> None:
    async with open_socket(api.socket_url) as socket:
        await caught_up(socket)
        for _ in range(20):
            await publisher.publish(3)
            await socket.say({"id": "1", "type": "complete"}, subscribe("1", "{ log { head } }"))
            heard: list[Any] = []
            while not heard or heard[-1]["type"] != "complete":
                heard.append(await socket.hear())
            answers = [one for one in heard if one["type"] == "next" and "log" in one["payload"]["data"]]
            assert heard[-2:] == [answers[0], {"id": "1", "type": "complete"}]
            await caught_up(socket)


@asynccontextmanager
async def deaf(api: RunningApi, query: str = FEED) -> AsyncIterator[sockets.socket]:
    """A client that subscribes, and then stops reading."""
    address = urlsplit(api.socket_url)
    loop = asyncio.get_running_loop()
    with sockets.socket() as raw:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        raw.setblocking(False)
        await loop.sock_connect(raw, (address.hostname, address.port))
        hello = (
            f"GET /graphql HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        )
        frames = b"".join(_frame(orjson.dumps(one)) for one in (INIT, subscribe("1", query)))
        for said, answer in ((hello.encode(), b"\r\n\r\n"), (frames, b"CaughtUp")):
            await loop.sock_sendall(raw, said)
            heard = b""
            while answer not in heard:
                heard += (part := await loop.sock_recv(raw, 4096))
                assert part, heard
        yield raw


def _frame(text: bytes) -> bytes:
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


@pytest.mark.parametrize("http_limits", [HttpLimits(send_seconds=0.3)])
async def test_clients_that_stop_reading_are_cut_off_leave_nothing_behind_and_delay_nobody(
    api: RunningApi, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    api.services.hub.limits = DeliveryLimits(send_seconds=0.3)
    async with open_socket(api.socket_url) as socket:
        await caught_up(socket)
        before = _tasks()
        assert before
        async with AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(deaf(api))
            assert api.services.hub.state().count == 11
            n = 0
            while api.services.hub.state().count > 1:
                await publisher.publish(5, data="x" * 50_000)
                assert await events(socket, 5) == list(range(n + 1, n + 6))
                n += 5
            await until(lambda: _tasks() == before)
            assert api.services.hub.state().waiting_bytes == 0
            assert await figure(api, "websockets") == 1
            assert await figure(api, "dropped_connections_total", reason="stuck") == 10
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_reads_late_gets_fell_behind_and_then_everything(
    settings: Settings, log: Log, client: Client, ingesting: None, publisher: Publisher
) -> None:
    small = settings.model_copy(update={"live_client_bytes": 100_000})
    async with running_api(small) as api, open_socket(api.socket_url) as quick, open_socket(api.socket_url) as slow:
        await caught_up(quick)
        await caught_up(slow)
        slow.raw.transport.pause_reading()
        total = 0
        while api.services.hub.state().slowest_lag_events < 20:
            await publisher.publish(10, data="x" * 50_000)
            total += len(await events(quick, 10))
            assert api.services.hub.state().waiting_bytes <= 100_000
        slow.raw.transport.resume_reading()
        heard: list[Any] = []
        while not heard or heard[-1]["__typename"] != "CaughtUp":
            heard.append((await slow.hear())["payload"]["data"]["events"])
        assert [one["position"] for one in heard if one["__typename"] == "Event"] == list(range(1, total + 1))
        assert [one["__typename"] for one in heard].count("FellBehind") == 1


def _tasks() -> Counter[str]:
    """The tasks that run for clients."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return Counter(
        name for name in names if name.startswith(("Transport.", "WebSockets", "Handler.", "Base", "Cohort."))
    )


async def test_there_is_one_nats_subscription_however_many_subscribers_there_are(
    settings: Settings, log: Log, client: Client, ingesting: None
) -> None:
    async with running_api(settings) as api, AsyncExitStack() as stack:
        before = await _subscriptions(api)
        for _ in range(30):
            await caught_up(await stack.enter_async_context(open_socket(api.socket_url)))
        assert await _subscriptions(api) == before
        assert len(api.services.feed._queues) == 1


async def _subscriptions(api: RunningApi) -> int:
    return len(api.services.publisher._client._subs)


async def _stored(log: Log, n: int) -> bool:
    return len(await pages.events(log, EVERYTHING, limit=n)) == n
