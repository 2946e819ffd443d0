"""The whole way at an even pace: JetStream, the ingester, MongoDB, the live batch, and many WebSockets at its end."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import orjson

from benchmarks.live_clients import Crowd
from benchmarks.live_cohort import crowded
from benchmarks.live_events import QUERY, aggregate, event, message, subscribe
from benchmarks.live_servers import EVENTSCOPE, Server, started
from benchmarks.stage import Scene

PACE: Final = 20  # events a second, each for all clients
MANY: Final = 500  # events a second, each for one of the clients
WARM_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Filtered:
    """Of clients with a filter each: messages a second, the share of a core, CPU microseconds a message."""

    per_second: float
    core: float
    cpu: float


async def delays(server: Server, at: Scene, clients: int, seconds: float) -> list[float]:
    """Milliseconds from the publishing of each event until the last of the clients has it."""
    async with at.ingester(), started(server, at) as running, crowded(running, clients) as (crowd, _):
        sent = await _publish(at, int(PACE * (WARM_SECONDS + seconds)), PACE, lambda number: number)
        await crowd.all_heard(len(sent))
        if not server.ready:
            _check(crowd, lambda number: range(len(sent)))
    taken = [(whole - begun) * 1000 for whole, begun in zip(crowd.whole, sent, strict=True)]
    return taken[int(PACE * WARM_SECONDS) :]


async def filtered(at: Scene, clients: int, seconds: float) -> Filtered:
    """Clients that follow an aggregate each, all of them different, and events of all those aggregates by turns."""
    filters = [{"aggregateType": event(1)["aggregateType"], "aggregateId": aggregate(n)} for n in range(clients)]
    count = int(MANY * seconds)
    async with at.ingester(), started(EVENTSCOPE, at) as running:
        crowd = Crowd()
        try:
            await crowd.enter(running.address, [subscribe(QUERY, **one) for one in filters], signalled=True)
            warm = int(MANY * WARM_SECONDS)
            await _publish(at, warm, MANY, lambda number: number % clients)
            await crowd.heard(warm)
            cpu, began = running.cpu(), perf_counter()
            await _publish(at, count, MANY, lambda number: number % clients, first=warm)
            await crowd.heard(warm + count)
            cpu, took = running.cpu() - cpu, perf_counter() - began
            _check(crowd, lambda number: range(number, warm + count, clients))
        finally:
            crowd.leave()
    return Filtered(count / took, cpu / took, cpu / count * 1e6)


async def _publish(at: Scene, count: int, pace: int, of: Callable[[int], int], first: int = 0) -> list[float]:
    """Publish so many events, and tell when each was."""
    sent = list[float]()
    start = perf_counter()
    for number in range(first, first + count):
        await asyncio.sleep(max(0.0, start + len(sent) / pace - perf_counter()))
        sent.append(perf_counter())
        await at.publish(message(number, of(number)))
    return sent


def _check(crowd: Crowd, meant: Callable[[int], Sequence[int]]) -> None:
    """That each client was given as many events as were meant for it, and the last of them last."""
    for number, client in enumerate(crowd.clients):
        mine = meant(number)
        if client.events != len(mine) or (mine and _id(client.last) != event(mine[-1])["messageId"]):
            raise RuntimeError(f"client {number} was sent {client.events} of {len(mine)}, the last one {client.last!r}")


def _id(text: bytes) -> str:
    found: str = orjson.loads(text)["payload"]["data"]["events"]["id"]
    return found
