"""Delays at an even pace, from publishing an event to its live batch, to a WebSocket client, and to a query."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.events import payload
from benchmarks.stage import Scene, Servers, scene
from eventscope.subscriptions.live import live_batch

PACE: Final = 500  # events a second
QUERIED_EVERY: Final = 10  # one event in so many is queried; to query all would measure the queries
DRAIN_SECONDS: Final = 60.0
PROTOCOL: Final = "graphql-transport-ws"
FOLLOW: Final = "subscription { events { __typename ... on Event { id } } }"
QUERY: Final = "query One($id: ID!) { event(id: $id) { id position } }"

Sent = dict[str, float]  # when each event was published


async def push_delays(servers: Servers, seconds: float, name: str) -> tuple[list[float], list[float]]:
    """Milliseconds from publishing an event until its live batch arrives, and until a WebSocket client has it."""
    count = int(PACE * seconds)
    sent, live, pushed = Sent(), list[float](), list[float]()
    async with scene(servers, name) as at, at.ingester(), at.api() as api, _following(api) as socket:

        async def hear(batch: Any) -> None:
            now = time.perf_counter()
            live.extend((now - sent[event["messageId"]]) * 1000 for event in orjson.loads(batch.data)["events"])

        await at.client.subscribe(live_batch.subject(name), cb=hear)
        await at.client.flush()
        publishing = asyncio.create_task(_publish(at, count, sent))
        async with asyncio.timeout(seconds + DRAIN_SECONDS):
            while len(pushed) < count:
                event = _event(await socket.recv())
                if event is not None:
                    pushed.append((time.perf_counter() - sent[event["id"]]) * 1000)
            while len(live) < count:
                await asyncio.sleep(0.01)
        await publishing
    return live, pushed


async def query_delays(servers: Servers, seconds: float, name: str) -> list[float]:
    """Milliseconds from publishing an event until a query by its id, repeated over HTTP, finds it."""
    count = int(PACE * seconds)
    queries = list[asyncio.Task[float]]()
    async with (
        scene(servers, name) as at,
        at.ingester(),
        at.api() as api,
        httpx.AsyncClient(base_url=f"http://{api}", timeout=DRAIN_SECONDS) as http,
    ):
        await _find(http, "nothing", once=True)  # the server compiles the query here, not in a measured one

        def query(number: int) -> None:
            if number % QUERIED_EVERY == 0:
                queries.append(asyncio.create_task(_find(http, f"m{number}")))

        await _publish(at, count, Sent(), query)
        return [await task for task in queries]


async def _publish(at: Scene, count: int, sent: Sent, then: Callable[[int], None] = lambda number: None) -> None:
    start = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / PACE - time.perf_counter()))
        sent[f"m{number}"] = time.perf_counter()
        await at.publish(payload(number))
        then(number)


async def _find(http: httpx.AsyncClient, id: str, *, once: bool = False) -> float:
    start = time.perf_counter()
    while True:
        answer = await http.post("/graphql", json={"query": QUERY, "variables": {"id": id}})
        if once or answer.raise_for_status().json()["data"]["event"]:
            return (time.perf_counter() - start) * 1000


@asynccontextmanager
async def _following(api: str) -> AsyncIterator[ClientConnection]:
    """A client that has caught up."""
    async with connect(f"ws://{api}/graphql", subprotocols=[PROTOCOL], compression=None, max_size=None) as socket:  # type: ignore[list-item]  # a NewType of str
        await socket.send(orjson.dumps({"type": "connection_init"}), text=True)
        while orjson.loads(await socket.recv())["type"] != "connection_ack":
            pass
        await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}), text=True)
        while orjson.loads(await socket.recv())["payload"]["data"]["events"]["__typename"] != "CaughtUp":
            pass
        yield socket


def _event(frame: str | bytes) -> dict[str, Any] | None:
    message = orjson.loads(frame)
    if message["type"] != "next":
        raise RuntimeError(f"the subscription ended: {message}")
    item: dict[str, Any] = message["payload"]["data"]["events"]
    return item if item["__typename"] == "Event" else None
