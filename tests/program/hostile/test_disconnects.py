"""A hundred clients that vanish with a reset, whatever they are doing, leave nothing behind."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Final

import httpx
import orjson
import pytest
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families

from eventscope.dev.servers import Nats
from eventscope.processes.ports import HOST, free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.chaos.connections import Connection, socket_to, stream_from
from tests.chaos.program import ServerProgram
from tests.support.api_server import RunningApi, running_api
from tests.support.until import until

CLIENTS: Final = 100
HISTORY: Final = 600  # events of some size: more than fits into a connection that is not read
AT_ONCE: Final = struct.pack("ii", 1, 0)
# each client gets one of them, and more are waiting
OPERATIONS: Final[Mapping[str, str]] = {
    "in the middle of history": "subscription { events(from: BEGINNING) { ... on Event { id data } } }",
    "live": "subscription { events { ... on Event { id data } ... on CaughtUp { cursor } } }",
    "live, each with a filter of its own": """subscription ($number: ID!) { events(filter: {not: {userId: $number}}) {
        ... on Event { id } ... on CaughtUp { cursor } } }""",
    "with work for each event": """subscription { events {
        ... on Event { id aggregate { version } } ... on CaughtUp { cursor } } }""",
    "following an aggregate": 'subscription { aggregate(type: "thing", id: "1") { version } }',
    "following counts": "subscription { stats(everySeconds: 0.2) { totalEvents } }",
    "in the middle of a replay": "subscription { replay(speed: 1) { ... on Event { id data } } }",
}
GAUGES: Final = ("websockets", "event_streams", "followers", "cohorts", "waiting_bytes")


@dataclass(frozen=True, slots=True)
class Watched(Nats):
    """A NATS server that reports who is connected."""

    monitor: int

    def command(self) -> list[str]:
        return [*Nats.command(self), "--http_port", str(self.monitor)]

    async def subscriptions(self) -> Mapping[str, int]:
        """How many subscriptions each connection has, by its name."""
        async with httpx.AsyncClient() as http:
            found = (await http.get(f"http://{HOST}:{self.monitor}/connz", params={"subs": "1"})).json()
        return {one["name"]: len(one.get("subscriptions_list", ())) for one in found["connections"] if "name" in one}


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    server = Watched(tmp_path / "nats", free(), free())
    program = ServerProgram(server)
    await program.start()
    yield server
    await program.close()


@pytest.fixture
def nats_url(watched: Watched) -> str:
    return watched.url


async def test_a_hundred_clients_that_vanish_leave_no_task_no_nats_subscription_and_no_cursor(
    settings: Settings, log: Log, client: Client, ingesting: None, watched: Watched, subject_prefix: str
) -> None:
    for number in range(HISTORY):
        await client.publish(f"{subject_prefix}.thing.happened", message(number))
    await until(lambda: stored(log))
    async with running_api(settings) as api:
        async with AsyncExitStack() as stack:  # what is created for the first client of each kind, and stays
            for number in range(2 * len(OPERATIONS)):
                await begun(stack, api, number)
        await until(lambda: idle(api))
        before = await held(log, watched)
        async with AsyncExitStack() as stack:
            clients = [await begun(stack, api, number) for number in range(CLIENTS - 10)]
            clients += [await half_open(stack, api) for _ in range(10)]
            assert min([await figure(api, name) for name in GAUGES[:4]]) > 0
            for number, transport in enumerate(clients):
                transport.abort()
                if number % 5 == 0:  # results are sent to some clients before it is noticed that they have left
                    await client.publish(f"{subject_prefix}.thing.happened", message(1000 + number))
        await until(lambda: idle(api))
        await until(lambda: same(log, watched, before))
        assert await figure(api, "dropped_connections_total", reason="internal") == 0


async def stored(log: Log) -> bool:
    """Whether the history is stored."""
    return (await checkpoint.read(log)).head == HISTORY


def message(number: int) -> bytes:
    """An event."""
    about = {"aggregateType": "thing", "aggregateId": "1"}
    return orjson.dumps({"type": "thing.happened", "messageId": f"m{number}", "data": "x" * 5000, **about})


async def begun(stack: AsyncExitStack, api: RunningApi, number: int) -> asyncio.Transport:
    """A client that has received something for its operation. Closing its connection sends a reset."""
    query = list(OPERATIONS.values())[number % len(OPERATIONS)]
    opened = stream_from if number // len(OPERATIONS) % 2 else socket_to
    address = api.socket_url.removeprefix("ws://").removesuffix("/graphql")
    connection: Connection = await stack.enter_async_context(opened(address, query, {"number": str(number)}))
    result = await connection.result()
    assert "errors" not in result, result
    connection.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, AT_ONCE)
    return connection.transport


async def half_open(stack: AsyncExitStack, api: RunningApi) -> asyncio.Transport:
    """A client that has not sent `connection_init`."""
    url = httpx.URL(api.socket_url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    stack.callback(writer.close)
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: {url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    )
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, AT_ONCE)
    return writer.transport  # type: ignore[return-value]  # a transport of a socket can be read from


async def idle(api: RunningApi) -> bool:
    """Whether no client is being served."""
    return [await figure(api, name) for name in GAUGES] == [0] * len(GAUGES)


async def figure(api: RunningApi, name: str, **labels: str) -> float:
    """A metric of the server."""
    families = text_string_to_metric_families((await api.http.get("/metrics")).text)
    samples = [sample for family in families for sample in family.samples]
    found = [one.value for one in samples if one.name == f"eventscope_{name}" and one.labels == labels]
    return found[0] if found else 0.0


async def held(log: Log, nats: Watched) -> dict[str, Any]:
    """What the process holds in its event loop, in NATS and in MongoDB."""
    status = await log.mongo.client.admin.command("serverStatus")
    return {
        "tasks": Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()),
        "subscriptions": await nats.subscriptions(),
        "cursors": status["metrics"]["cursor"]["open"]["total"],
    }


async def same(log: Log, nats: Watched, before: dict[str, Any]) -> bool:
    """Whether the process holds the same again."""
    return await held(log, nats) == before
