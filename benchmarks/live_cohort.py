"""The cost of a message and of an idle client, with clients that all send the same query, and one event at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from benchmarks.live_clients import Crowd
from benchmarks.live_events import batch, event, same, subscribe, text
from benchmarks.live_servers import LiveServer, Running, started
from benchmarks.stage import Scene
from eventscope.store.state import secret
from eventscope.subscriptions.live import live_batch

WARM: Final = 10  # events at least before the measurement


@dataclass(frozen=True, slots=True)
class MessageCost:
    """Figures of one server: CPU microseconds per message, messages per second, KiB per idle client."""

    cpu: float
    per_second: float
    memory: float


@asynccontextmanager
async def crowded(at: Running, clients: int) -> AsyncIterator[tuple[Crowd, float]]:
    """Clients that follow all events, and the KiB of each without the first tenth, which pays for shared state."""
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


async def cost(server: LiveServer, at: Scene, clients: int, messages: int) -> MessageCost:
    """Measure the server, sending each event as soon as the last client has the one before."""
    counted = max(1, round(messages * server.share / clients))
    async with started(server, at) as running, crowded(running, clients) as (crowd, memory):
        sent, key = 0, await secret.ensure(at.log)
        for count in (max(WARM, counted // 10), counted):
            cpu, began = running.cpu(), perf_counter()
            for _ in range(count):
                sent += 1
                await at.client.publish(live_batch.subject(at.name), batch(sent, key))
                await crowd.all_received(sent)
            cpu, seconds = running.cpu() - cpu, perf_counter() - began
            check(server, crowd, sent)
    return MessageCost(cpu / counted / clients * 1e6, counted * clients / seconds, memory)


def check(server: LiveServer, crowd: Crowd, sent: int) -> None:
    """Raise RuntimeError unless each client received all events, and the last one as all servers must send it."""
    expected = text(event(1 if server.ready else sent))
    for client in crowd.clients:
        if client.events != sent or not same(client.last, expected):
            raise RuntimeError(f"{server.name} sent {client.events} of {sent}, the last one {client.last!r}")
