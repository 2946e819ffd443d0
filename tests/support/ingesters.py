"""Ingesters that tests start and kill, and messages for them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import nats
import orjson
from nats.aio.client import Client

from eventscope.background import beside
from eventscope.processes.guard import guard_command, lifeline
from eventscope.server.ingester import ingest
from eventscope.settings import PREFIX, Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.nats import stream
from tests.support.until import until

MANY = 5000


@asynccontextmanager
async def log_and_client(settings: Settings) -> AsyncIterator[tuple[Log, Client]]:
    """A log and a bare connection, for settings other than the usual ones."""
    async with open_log(settings.mongo_url, settings.mongo_database) as log:
        await prepare(log)
        client = await nats.connect(settings.nats_url)
        await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
        yield log, client
        await client.close()


@asynccontextmanager
async def ingester(settings: Settings, limits: IngestLimits | None = None) -> AsyncIterator[None]:
    """An ingester in this process, for the length of the block."""
    async with beside(ingest(settings, limits)):
        yield


async def ingester_process(settings: Settings) -> asyncio.subprocess.Process:
    """An ingester as a process of its own, which may be killed."""
    environment = {
        f"{PREFIX}MONGO_URL": settings.mongo_url,
        f"{PREFIX}MONGO_DATABASE": settings.mongo_database,
        f"{PREFIX}NATS_URL": settings.nats_url,
        f"{PREFIX}STREAM": settings.stream,
        f"{PREFIX}SUBJECTS": ",".join(settings.subjects),
        f"{PREFIX}BATCH": str(settings.batch),
        f"{PREFIX}LEASE_SECONDS": str(settings.lease_seconds),
    }
    return await asyncio.create_subprocess_exec(
        *guard_command([sys.executable, "-m", "eventscope", "ingest"]),
        stdin=lifeline(),
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | environment,
    )


async def publish(client: Client, prefix: str, count: int, start: int = 0) -> None:
    """Publish events whose ids contain their numbers."""
    js = client.jetstream()
    for number in range(start, start + count):
        await js.publish(f"{prefix}.user.updated", orjson.dumps({"messageId": f"m{number}", "data": number}))


async def try_to_publish(client: Client, prefix: str, start: int) -> bool:
    """Whether five more events could be published."""
    with suppress(nats.errors.Error):
        await publish(client, prefix, 5, start)
        return True
    return False


async def wait_for_events(log: Log, count: int) -> Sequence[EventDocument]:
    """All events, once there are this many."""
    await until(lambda: has_reached(log, count))
    return await pages.events(log, EVERYTHING, limit=count + 100)


async def has_reached(log: Log, head: int) -> bool:
    """Whether the log reaches this position."""
    return (await checkpoint.read(log)).head >= min(head, MANY)


async def has_lease(log: Log) -> bool:
    """Whether an ingester is at work."""
    return (await checkpoint.read(log)).lease_held
