"""How fast events come in: the whole path against a bare insert_many into the same indexes, in one run.

    make bench            (or: python -m benchmarks.ingest --events 40000 --rounds 3 --driver motor)

Each round does both in turn on a fresh database, so that the ratio holds though the machine's speed drifts; medians are
printed. MongoDB and NATS are the embedded ones, the ingester is a process of its own as in production.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import orjson
import uvloop
from pymongo import AsyncMongoClient

from eventscope.embedded import Mongod, Nats, running
from eventscope.guard import guarded, lifeline
from eventscope.settings import PREFIX
from eventscope.store import checkpoint
from eventscope.store.driver import OPTIONS
from eventscope.store.log import INDEXES, open_log, prepare
from eventscope.subscriptions import stream

AGGREGATES = 5000
BATCH = 500
PACE = 500  # events per second, for delays


def message(number: int) -> dict[str, Any]:
    """An event of ordinary size, about 350 bytes."""
    return {
        "type": ("user.updated", "user.location.updated", "vendor.updated")[number % 3],
        "messageId": f"m{number}",
        "aggregateType": ("user", "user", "vendor")[number % 3],
        "aggregateId": str(number % AGGREGATES),
        "userId": str(number % 97),
        "correlationId": f"c{number // 10}",
        "data": {"number": number, "name": "Ada Lovelace", "email": "ada@example.com", "tags": ["a", "b"]},
        "metadata": {"reason": "benchmark", "source": "web", "ip": "192.0.2.1"},
    }


async def whole(mongo: str, server: str, events: int, driver: str, name: str) -> float:
    """Events per second from NATS into the log."""
    client = await nats.connect(server)
    js = client.jetstream()
    await stream.ensure(js, name, [f"{name}.>"])
    for number in range(events):
        await client.publish(f"{name}.x", orjson.dumps(message(number)))
    await client.flush()
    async with open_log(mongo, name) as log:
        await prepare(log)
        async with ingester(mongo, server, name, driver):
            while (await checkpoint.read(log)).head == 0:
                await asyncio.sleep(0.001)
            start, first = time.perf_counter(), (await checkpoint.read(log)).head
            while (await checkpoint.read(log)).head < events:
                await asyncio.sleep(0.005)
            took = time.perf_counter() - start
        await log.mongo.client.drop_database(name)
    await js.delete_stream(name)
    await client.close()
    return (events - first) / took


async def bare(mongo: str, events: int, name: str) -> float:
    """Documents per second of insert_many alone, of the same documents into the same indexes."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(mongo, **OPTIONS)
    collection = client[name]["events"]
    await collection.create_indexes(INDEXES["events"])
    now = time.time_ns() // 1000
    documents = [
        {
            "_id": number + 1,
            **message(number),
            "timestamp": now,
            "recordedAt": now,
            "version": number // AGGREGATES + 1,
            "source": {"stream": name, "created": "2026-11-23T07:00:00+00:00", "sequence": number + 1},
        }
        for number in range(events)
    ]
    start = time.perf_counter()
    for first in range(0, events, BATCH):
        await collection.insert_many(documents[first : first + BATCH])
    took = time.perf_counter() - start
    await client.drop_database(name)
    await client.close()
    return events / took


async def delays(mongo: str, server: str, events: int, driver: str, name: str) -> list[float]:
    """Milliseconds from publishing to being in the log and told live, at an even pace."""
    client = await nats.connect(server)
    js = client.jetstream()
    await stream.ensure(js, name, [f"{name}.>"])
    sent: dict[str, float] = {}
    taken: list[float] = []
    done = asyncio.Event()

    async def hear(batch: Any) -> None:
        now = time.perf_counter()
        for event in orjson.loads(batch.data)["events"]:
            taken.append((now - sent[event["messageId"]]) * 1000)
        if len(taken) == events:
            done.set()

    await client.subscribe(f"eventscope.live.{name}", cb=hear)
    async with open_log(mongo, name) as log:
        await prepare(log)
        async with ingester(mongo, server, name, driver):
            while not (await checkpoint.read(log)).lease_held:
                await asyncio.sleep(0.01)
            start = time.perf_counter()
            for number in range(events):
                await asyncio.sleep(max(0.0, start + number / PACE - time.perf_counter()))
                sent[f"m{number}"] = time.perf_counter()
                await client.publish(f"{name}.x", orjson.dumps(message(number)))
            await asyncio.wait_for(done.wait(), 60)
        await log.mongo.client.drop_database(name)
    await js.delete_stream(name)
    await client.close()
    return taken


@asynccontextmanager
async def ingester(mongo: str, server: str, name: str, driver: str) -> AsyncIterator[None]:
    """`eventscope ingest` as a process of its own."""
    given = {"MONGO_URL": mongo, "MONGO_DATABASE": name, "NATS_URL": server, "STREAM": name, "SUBJECTS": f"{name}.>"}
    process = await asyncio.create_subprocess_exec(
        *guarded([sys.executable, "-m", "eventscope", "ingest"]),
        stdin=lifeline(),
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {f"{PREFIX}{key}": value for key, value in given.items()} | {f"{PREFIX}MONGO_DRIVER": driver},
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def measure(mongo: str, server: str, events: int, rounds: int, driver: str) -> None:
    """Run all and print the figures."""
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        floor = await bare(mongo, events, f"bare{number}")
        path = await whole(mongo, server, events, driver, f"whole{number}")
        pairs.append((path, floor))
    paths, floors = zip(*pairs, strict=True)
    print(f"events in, {driver}, {events:,} events, median of {rounds} rounds")
    print(f"  whole path       {statistics.median(paths):>9,.0f} events/s")
    print(f"  bare insert_many {statistics.median(floors):>9,.0f} documents/s")
    print(f"  ratio            {statistics.median(path / floor for path, floor in pairs):>9.2f}  (bar 0.50)")
    taken = sorted(await delays(mongo, server, PACE * 10, driver, "delays"))
    middle, late = taken[len(taken) // 2], taken[int(len(taken) * 0.99)]
    print(f"publish to live batch at {PACE} events/s: p50 {middle:.1f} ms, p99 {late:.1f} ms  (bars 10 and 30)")


def main() -> None:
    """Start the servers and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--driver", choices=("motor", "pymongo"), default="motor")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("mongod", "nats")]
        for place in places:
            place.mkdir()
        with (
            running(Mongod, places[0]) as mongod,
            running(Nats, places[1]) as server,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(measure(mongod.url, server.url, given.events, given.rounds, given.driver))


if __name__ == "__main__":
    main()
