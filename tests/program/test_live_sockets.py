"""Live delivery over real sockets: shared work, clients that do not read, limits, and moving to another server."""

import asyncio
import socket as sockets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families
from strawberry.exceptions import ConnectionRejectionError

from eventscope.http.endpoint import Endpoint
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import INIT, PROTOCOL, Socket, open_socket, subscribe
from tests.support.until import until

FEED = """subscription ($after: String, $filter: EventFilter) { events(after: $after, filter: $filter) {
  __typename ... on Event { id position cursor data } ... on CaughtUp { cursor } } }"""
NESTED = "subscription { events { ... on Event { id aggregate { version events(first: 5000) { nodes { id } } } } } }"


@pytest.fixture
def http_limits() -> HttpLimits:
    return HttpLimits()


@pytest.fixture
async def api(
    settings: Settings, log: Log, client: Client, ingesting: None, http_limits: HttpLimits
) -> AsyncIterator[RunningApi]:
    async with running_api(settings, http_limits=http_limits) as api:
        yield api


class Publisher:
    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.published = 0

    async def publish(self, n: int = 1, **body: object) -> None:
        for _ in range(n):
            self.published += 1
            message = orjson.dumps({"messageId": f"m{self.published}", **body})
            await self._client.publish(f"{self._prefix}.thing.happened", message)
        await self._client.flush()


@pytest.fixture
def publisher(client: Client, subject_prefix: str) -> Publisher:
    return Publisher(client, subject_prefix)


async def caught_up(socket: Socket, id: str = "1", query: str = FEED, **variables: object) -> None:
    """Subscribe, and wait until the delivery is live."""
    await socket.say(subscribe(id, query, variables=variables))
    while (await socket.hear())["payload"]["data"]["events"]["__typename"] != "CaughtUp":
        pass


async def event(socket: Socket) -> Any:
    """The next event."""
    while (found := (await socket.hear())["payload"]["data"]["events"])["__typename"] != "Event":
        pass
    return found


async def events(socket: Socket, n: int) -> list[int]:
    """The positions of the next n events."""
    return [(await event(socket))["position"] for _ in range(n)]


async def figure(api: RunningApi, name: str, **labels: str) -> float:
    """A metric of the server."""
    text = (await api.http.get("/metrics")).text
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"eventscope_{name}" and sample.labels == labels
    ]
    return found[0] if found else 0.0


# cohorts


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


# clients that do not read


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


# limits and ends of connections


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
