"""Events ingested per second: by the whole path, by its transactions alone, and by a bare insert_many."""

import time
from collections.abc import Iterator
from typing import Any

from pymongo import AsyncMongoClient

from benchmarks.events import AGGREGATES, message, payload
from benchmarks.stage import Servers, scene
from eventscope.store.heads import AggregateName
from eventscope.store.log import INDEXES
from eventscope.store.mongo.driver import OPTIONS
from eventscope.store.state import lease
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.documents import Head
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import write
from eventscope.store.write.draft import Draft
from eventscope.store.write.retention import Retention

BATCH = 500
LEASE_SECONDS = 600.0


async def ingest_path(servers: Servers, events: int, name: str) -> float:
    """Events per second from NATS into the log, with everything derived from them."""
    async with scene(servers, name) as at:
        for number in range(events):
            await at.publish(payload(number))
        await at.client.flush()
        async with at.ingester():
            await at.reaches(1, pause=0.001)
            start, first = time.perf_counter(), await at.head()
            await at.reaches(events, pause=0.05)  # polling more often takes a tenth of the machine
            return (events - first) / (time.perf_counter() - start)


async def transactions(servers: Servers, events: int, name: str) -> float:
    """Events per second of the same transactions alone, prepared beforehand: the limit that MongoDB sets."""
    async with scene(servers, name) as at, at.log.mongo.session() as session:
        at_start = await lease.acquire(at.log, "benchmark", LEASE_SECONDS, session.session_id)
        if at_start is None:
            raise SystemExit("another ingester writes this log")
        drafts = list(_drafts(at_start, events, name))
        start = time.perf_counter()
        for draft in drafts:
            await write(at.log, session, draft)
        return events / (time.perf_counter() - start)


def _drafts(at: LogCheckpoint, events: int, name: str) -> Iterator[Draft]:
    """The drafts of all batches in order, as the ingester would build them."""
    heads: dict[AggregateName, Head] = {}
    for first in range(0, events, BATCH):
        now = time.time_ns() // 1000
        last = min(first + BATCH, events)
        position = StreamPosition(name, "2026-11-23T07:00:00+00:00", last, now)
        draft = Draft(now, Retention({}), at, MessageBatch((), position), {}, dict(heads))
        for number in range(first, last):
            arrival = Arrival(f"{name}.x", {}, b"", number + 1, now)
            draft.add(AcceptedMessage(arrival, {**message(number), "timestamp": now}, None, has_timestamp=False))
        at = draft.checkpoint_after()
        heads |= draft.after
        yield draft


async def inserts(servers: Servers, events: int, name: str) -> float:
    """Documents per second of a bare insert_many: the same documents into the same indexes."""
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
    elapsed = time.perf_counter() - start
    await client.drop_database(name)
    await client.close()
    return events / elapsed
