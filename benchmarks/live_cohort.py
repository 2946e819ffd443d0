"""What a message costs, and a client that waits: clients that all ask the same, and events that come one by one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from benchmarks.live_clients import Crowd
from benchmarks.live_events import batch, event, same, subscribe, text
from benchmarks.live_servers import Running, Server, started
from benchmarks.stage import Scene
from eventscope.store.state import secret
from eventscope.subscriptions.live import live_batch

WARM: Final = 10  # events at least before anything is measured


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one server: CPU microseconds a message, messages a second, KiB an idle client."""

    cpu: float
    per_second: float
    memory: float


@asynccontextmanager
async def crowded(at: Running, clients: int) -> AsyncIterator[tuple[Crowd, float]]:
    """Clients that follow all events, and the KiB that each took; the first tenth pays for what is made once."""
    crowd, first = Crowd(), subscribe(at.server.query)
    try:
        few = max(1, clients // 10)
        await crowd.enter(at.address, [first] * few, signalled=at.server.signalled)
        before = at.memory()
        await crowd.enter(at.address, [first] * (clients - few), signalled=at.server.signalled)
        await at.follow(clients)
        yield crowd, (at.memory() - before) / (clients - few)
    finally:
        crowd.leave()


async def cost(server: Server, at: Scene, clients: int, messages: int) -> Cost:
    """Send each event as soon as the last client has the one before."""
    counted = max(1, round(messages * server.share / clients))
    async with started(server, at) as running, crowded(running, clients) as (crowd, memory):
        sent, key = 0, await secret.ensure(at.log)
        for count in (max(WARM, counted // 10), counted):
            cpu, began = running.cpu(), perf_counter()
            for _ in range(count):
                sent += 1
                await at.client.publish(live_batch.subject(at.name), batch(sent, key))
                await crowd.all_heard(sent)
            cpu, seconds = running.cpu() - cpu, perf_counter() - began
            check(server, crowd, sent)
    return Cost(cpu / counted / clients * 1e6, counted * clients / seconds, memory)


def check(server: Server, crowd: Crowd, sent: int) -> None:
    """That each client has all events, and that the last is what it should be: the same for all servers."""
    expected = text(event(1 if server.ready else sent))
    for client in crowd.clients:
        if client.events != sent or not same(client.last, expected):
            raise RuntimeError(f"{server.name} sent {client.events} of {sent}, the last one {client.last!r}")
