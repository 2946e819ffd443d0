"""What the benchmarks run on: embedded servers, and Eventscope's processes as in production."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import nats
from nats.aio.client import Client

from eventscope.dev.servers import Mongod, Nats, run_server
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import HOST, free
from eventscope.settings import PREFIX
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Driver
from eventscope.store.state import checkpoint
from eventscope.subscriptions.nats import stream

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Servers:
    """The addresses of MongoDB and NATS, and the driver that Eventscope uses for MongoDB."""

    mongo: str
    nats: str
    driver: Driver
    folder: Path


@contextmanager
def serving(folder: Path, driver: Driver) -> Iterator[Servers]:
    """Servers that run for the length of the block."""
    places = [folder / name for name in ("mongod", "nats")]
    for place in places:
        place.mkdir()
    with run_server(Mongod, places[0]) as mongod, run_server(Nats, places[1]) as server:
        yield Servers(mongod.url, server.url, driver, folder)


@dataclass(frozen=True, slots=True)
class Scene:
    """The log, stream and connection of one measurement; all of them have that `name`."""

    servers: Servers
    name: str
    log: Log
    client: Client

    async def publish(self, payload: bytes) -> None:
        """Publish without waiting for an acknowledgement."""
        await self.client.publish(f"{self.name}.x", payload)

    async def head(self) -> int:
        """The last position of the log."""
        return (await checkpoint.read(self.log)).head

    async def reaches(self, head: int, pause: float = 0.005) -> None:
        """Wait until the log has that position."""
        while await self.head() < head:
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def ingester(self, watch: int = 0) -> AsyncIterator[None]:
        """An ingester at work, with health and metrics at the port `watch` unless that is 0."""
        async with self._process(["ingest"], INGEST_PORT=str(watch)):
            async with asyncio.timeout(START_SECONDS):
                while not (await checkpoint.read(self.log)).lease_held:
                    await asyncio.sleep(0.001)
            yield

    @asynccontextmanager
    async def api(self) -> AsyncIterator[str]:
        """The address of a running API, without a scheme."""
        address = f"{HOST}:{(port := free())}"
        async with self._process(["serve", "--no-ingest"], PORT=str(port)), httpx.AsyncClient() as http:
            async with asyncio.timeout(START_SECONDS):
                while not await _ready(http, address):
                    await asyncio.sleep(0.05)
            yield address

    @asynccontextmanager
    async def _process(self, arguments: list[str], **more: str) -> AsyncIterator[None]:
        common = {
            "MONGO_URL": self.servers.mongo,
            "MONGO_DATABASE": self.name,
            "MONGO_DRIVER": self.servers.driver,
            "NATS_URL": self.servers.nats,
            "STREAM": self.name,
            "SUBJECTS": f"{self.name}.>",
            "LOG_LEVEL": "error",
        }
        process = await asyncio.create_subprocess_exec(
            *guard_command([sys.executable, "-m", "eventscope", *arguments]),
            stdin=lifeline(),
            env=os.environ | {f"{PREFIX}{key}": value for key, value in (common | more).items()},
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()


@asynccontextmanager
async def scene(servers: Servers, name: str) -> AsyncIterator[Scene]:
    """A log and a stream for the length of the block; both are deleted after it."""
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_log(servers.mongo, name, servers.driver))
        await prepare(log)
        client = await nats.connect(servers.nats)
        stack.push_async_callback(client.close)
        js = client.jetstream()
        await stream.ensure(js, name, [f"{name}.>"])
        try:
            yield Scene(servers, name, log, client)
        finally:
            await js.delete_stream(name)
            await log.mongo.client.drop_database(name)


async def _ready(http: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(f"http://{address}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
