"""What live delivery costs: CPU of the server for each message, held against a bare route that sends a ready text.

    python -m benchmarks.live --clients 200,1000 --messages 100000

All servers run in one run and by turns, on the same events and with the same clients; what is measured is the CPU time
of the server's process, so the ratios hold though others use the machine. Medians of the rounds are printed.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import httpx
import orjson
import uvloop

from benchmarks.live_clients import Crowd
from benchmarks.sheet import RESULTS, Sheet
from benchmarks.stage import Scene, Servers, scene, serving
from eventscope.guard import guarded, lifeline
from eventscope.ports import HOST, free
from eventscope.store import moment
from eventscope.store.documents import Event
from eventscope.subscriptions import live

FIELDS = "id position cursor type timestamp aggregateType aggregateId version userId correlationId data"
QUERY = (
    "subscription Feed($filter: EventFilter, $after: String) { events(filter: $filter, after: $after)"
    f" {{ __typename ... on Event {{ {FIELDS} }} ... on CaughtUp {{ cursor }} ... on Checkpoint {{ cursor }} }} }}"
)
BAR = 1.5


@dataclass(frozen=True, slots=True)
class Server:
    """One that is compared. `signalled` says whether it tells when a client has caught up."""

    name: str
    command: Sequence[str]
    signalled: bool
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """Of one server: CPU microseconds a message, messages a second, memory a client."""

    cpu: float
    per_second: float
    kib_per_client: float


def event(position: int, aggregate: int = 71) -> Event:
    """An event of an ordinary size."""
    now = moment.now()
    return {
        "_id": position,
        "messageId": f"c0ffee00-0000-4000-8000-{position:012}",
        "type": "order.line.added",
        "timestamp": now,
        "recordedAt": now,
        "aggregateType": "order",
        "aggregateId": f"order-{aggregate:08}",
        "version": position,
        "userId": "u-4711",
        "correlationId": f"c0ffee00-0000-4000-9000-{position // 3:012}",
        "data": {"sku": f"SKU-{position}", "qty": 6, "price": 19.99, "currency": "EUR", "tags": ["a", "bb", "ccc"]},
        "source": {"stream": "S", "created": "", "sequence": position},
    }


def text(one: Event) -> str:
    """The message that delivers it, as the bare route sends it."""
    own = {
        "id": one["messageId"],
        "position": one["_id"],
        "cursor": f"e{one['_id']:x}",
        "type": one["type"],
        "timestamp": moment.to_text(one["timestamp"]),
        **{key: one.get(key) for key in ("aggregateType", "aggregateId", "version", "userId", "correlationId", "data")},
    }
    payload = {"data": {"events": {"__typename": "Event", **own}}}
    return orjson.dumps({"id": "1", "type": "next", "payload": payload}).decode()


def servers() -> list[Server]:
    """All that are compared."""
    python = [sys.executable, "-m"]
    return [
        Server("raw Starlette send_text", [*python, "benchmarks.live_raw"], signalled=False),
        Server("Eventscope", [*python, "eventscope", "serve", "--no-ingest"], signalled=True),
    ]


@asynccontextmanager
async def started(server: Server, at: Scene) -> AsyncIterator[tuple[str, int]]:
    """The server; its address and its process."""
    port = free()
    given = {
        "MONGO_URL": at.servers.mongo,
        "MONGO_DATABASE": at.name,
        "NATS_URL": at.servers.nats,
        "STREAM": at.name,
        "SUBJECTS": f"{at.name}.>",
        "LOG_LEVEL": "error",
        "PORT": str(port),
        "CONNECTIONS_PER_ADDRESS": "100000",
    }
    process = await asyncio.create_subprocess_exec(
        *guarded(server.command),
        stdin=lifeline(),
        env=os.environ
        | {f"EVENTSCOPE_{key}": value for key, value in given.items()}
        | {"SUBJECT": live.subject(at.name), "TEXT": text(event(1))}
        | dict(server.environment),
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while not await _ready(http, f"http://{HOST}:{port}/healthz"):
                await asyncio.sleep(0.05)
        yield f"{HOST}:{port}", process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure(server: Server, at: Scene, clients: int, messages: int) -> Figure:
    """Send events to clients that all ask the same, each as soon as the last client has the one before."""
    subscribe = orjson.dumps({"id": "1", "type": "subscribe", "payload": {"query": QUERY}})
    async with started(server, at) as (address, pid):
        empty = _memory(pid)
        crowd = Crowd()
        await crowd.enter(address, [subscribe] * clients, signalled=server.signalled)
        memory = _memory(pid)
        position = 0
        for count in (max(20, messages // clients // 10), messages // clients):
            before, began, sent = _cpu(pid), perf_counter(), crowd.events
            for n in range(1, count + 1):
                batch = b"".join(live.encode(position, [event(position + 1)], 1_000_000))
                await at.client.publish(live.subject(at.name), batch)
                position += 1
                await crowd.heard(sent + clients * n)
            cpu, seconds, heard = _cpu(pid) - before, perf_counter() - began, crowd.events - sent
        crowd.leave()
    return Figure(cpu / heard * 1e6, heard / seconds, (memory - empty) / clients)


def _cpu(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


async def _ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.TransportError:
        return False


async def run(given: argparse.Namespace, at: Servers) -> Sheet:
    """All figures."""
    sheet = Sheet("Live delivery: what a message costs", f"python -m benchmarks.live --clients {given.clients}")
    for clients in map(int, given.clients.split(",")):
        taken: dict[str, list[Figure]] = {}
        for turn in range(given.rounds):
            for server in servers():
                async with scene(at, f"live{clients}x{turn}x{len(taken)}") as here:
                    taken.setdefault(server.name, []).append(await measure(server, here, clients, given.messages))
        floor = statistics.median(figure.cpu for figure in taken[servers()[0].name])
        for name, figures in taken.items():
            cpu = statistics.median(figure.cpu for figure in figures)
            rate = statistics.median(figure.per_second for figure in figures)
            memory = statistics.median(figure.kib_per_client for figure in figures)
            sheet.add(
                f"{name}, {clients} clients of one cohort",
                f"{cpu:.1f} µs CPU a message, {rate:,.0f}/s, {memory:.0f} KiB a client",
                f"{cpu / floor:.2f}",
                f"≤ {BAR}" if name == "Eventscope" else "",
            )
    return sheet


def main() -> None:
    """Measure, print, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", default="200,1000")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS / "live.md")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        serving(Path(scratch), "pymongo") as at,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        sheet = runner.run(run(given, at))
    sheet.show()
    sheet.write(given.results)


if __name__ == "__main__":
    main()
