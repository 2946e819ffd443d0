"""How many events come in a second: through the whole path, and by a bare insert_many into the same indexes."""

import time
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks.events import AGGREGATES, message, payload
from benchmarks.stage import Servers, scene
from eventscope.store.driver import OPTIONS
from eventscope.store.log import INDEXES

BATCH = 500


async def whole(servers: Servers, events: int, name: str) -> float:
    """Events per second from NATS into the log, with all that is derived from them."""
    async with scene(servers, name) as at:
        for number in range(events):
            await at.publish(payload(number))
        await at.client.flush()
        async with at.ingester():
            await at.reaches(1, pause=0.001)
            start, first = time.perf_counter(), await at.head()
            await at.reaches(events)
            return (events - first) / (time.perf_counter() - start)


async def bare(servers: Servers, events: int, name: str) -> float:
    """Documents per second of insert_many alone, of the same documents into the same indexes."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(servers.mongo, **OPTIONS)
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
