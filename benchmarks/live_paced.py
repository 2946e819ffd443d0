"""The whole path at an even pace: JetStream, the ingester, MongoDB, the live batch, and many WebSockets."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import orjson

from benchmarks.live_clients import Crowd
from benchmarks.live_cohort import crowded
from benchmarks.live_events import QUERY, aggregate, event, message, subscribe
from benchmarks.live_servers import EVENTSCOPE, LiveServer, started
from benchmarks.stage import Scene

PACE: Final = 20  # events a second, each for all clients
MANY: Final = 500  # events a second, each for one of the clients
WARM_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Filtered:
    """Figures of clients with a filter each: messages per second, share of a core, CPU microseconds per message."""

    per_second: float
    core: float
    cpu: float


async def delays(server: LiveServer, at: Scene, clients: int, seconds: float) -> list[float]:
    """Milliseconds from publishing each event until the last client has it."""
    async with at.ingester(), started(server, at) as running, crowded(running, clients) as (crowd, _):
        sent = await _publish(at, int(PACE * (WARM_SECONDS + seconds)), PACE, lambda number: number)
        await crowd.all_received(len(sent))
        if not server.ready:
            _check(crowd, lambda number: range(len(sent)))
    milliseconds = [(end - start) * 1000 for start, end in zip(sent, crowd.whole, strict=True)]
    return milliseconds[int(PACE * WARM_SECONDS) :]


async def filtered(at: Scene, clients: int, seconds: float) -> Filtered:
    """Measure clients that each follow an aggregate of their own, with events of all these aggregates in turn."""
    filters = [{"aggregateType": event(1)["aggregateType"], "aggregateId": aggregate(n)} for n in range(clients)]
    count = int(MANY * seconds)
    async with at.ingester(), started(EVENTSCOPE, at) as running:
        crowd = Crowd()
        try:
            await crowd.enter(running.address, [subscribe(QUERY, **one) for one in filters], signalled=True)
            warm = int(MANY * WARM_SECONDS)
            await _publish(at, warm, MANY, lambda number: number % clients)
            await crowd.received(warm)
            cpu, began = running.cpu(), perf_counter()
            await _publish(at, count, MANY, lambda number: number % clients, first=warm)
            await crowd.received(warm + count)
            cpu, elapsed = running.cpu() - cpu, perf_counter() - began
            _check(crowd, lambda number: range(number, warm + count, clients))
        finally:
            crowd.leave()
    return Filtered(count / elapsed, cpu / elapsed, cpu / count * 1e6)


async def _publish(at: Scene, count: int, pace: int, of: Callable[[int], int], first: int = 0) -> list[float]:
    """Publish `count` events; the times at which they were published."""
    sent = list[float]()
    start = perf_counter()
    for number in range(first, first + count):
        await asyncio.sleep(max(0.0, start + len(sent) / pace - perf_counter()))
        sent.append(perf_counter())
        await at.publish(message(number, of(number)))
    return sent


def _check(crowd: Crowd, expected: Callable[[int], Sequence[int]]) -> None:
    """Raise RuntimeError unless each client received as many events as expected, with the last of them last."""
    for number, client in enumerate(crowd.clients):
        positions = expected(number)
        if client.events != len(positions) or (positions and _id(client.last) != event(positions[-1])["messageId"]):
            raise RuntimeError(
                f"client {number} received {client.events} of {len(positions)}, the last one {client.last!r}"
            )


def _id(text: bytes) -> str:
    found: str = orjson.loads(text)["payload"]["data"]["events"]["id"]
    return found
