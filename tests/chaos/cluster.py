"""Three of each on this machine: a MongoDB replica set, and a NATS cluster whose stream has three replicas."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nats.errors
import orjson
from nats.js.api import DiscardPolicy, StreamConfig
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from eventscope.dev.binaries import find
from eventscope.dev.servers import REPLICA_SET, Mongod
from eventscope.processes.ports import HOST, free
from eventscope.subscriptions.nats import stream
from tests.chaos.program import Program
from tests.support.until import until

START_SECONDS: Final = 90.0
# so that the death of a member is noticed within a second or two
ELECTION: Final = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Three mongods and three nats-servers, by their addresses and names."""

    mongods: dict[str, Program]
    nats: dict[str, Program]
    ports: Sequence[int]

    @property
    def mongo_url(self) -> str:
        return f"mongodb://{','.join(self.mongods)}/?replicaSet={REPLICA_SET}"

    @property
    def nats_url(self) -> str:
        return ",".join(f"nats://{HOST}:{port}" for port in self.ports)

    async def primary(self) -> str:
        """The address of MongoDB's primary, as soon as there is one."""
        return await until(lambda: asyncio.to_thread(self._primary), START_SECONDS)

    async def leader(self, name: str) -> str:
        """The name of the server that leads the stream, as soon as there is one."""

        async def look() -> str | None:
            with suppress(nats.errors.Error, OSError):
                info = (await client.jetstream().stream_info(name)).cluster
                return None if info is None else info.leader
            return None

        client = await stream.connect(self.nats_url, "chaos", seconds=START_SECONDS)
        try:
            return str(await until(look, START_SECONDS))
        finally:
            await stream.close(client)

    async def make_stream(self, name: str, subjects: Sequence[str]) -> None:
        """Create a stream with three replicas, as soon as the cluster can."""

        async def make() -> bool:
            with suppress(nats.errors.Error, OSError):
                await client.jetstream().add_stream(config)
                return True
            return False

        config = StreamConfig(name=name, subjects=list(subjects), num_replicas=3, discard=DiscardPolicy.NEW)
        client = await stream.connect(self.nats_url, "chaos", seconds=START_SECONDS)
        try:
            await until(make, START_SECONDS)
        finally:
            await stream.close(client)

    def _primary(self) -> str:
        for address in self.mongods:
            with suppress(PyMongoError), _one(address) as client:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return address
        return ""


@asynccontextmanager
async def clustered(folder: Path) -> AsyncIterator[Cluster]:
    """The six servers, for the length of the block."""
    ports = _ports(9)
    mongods = {f"{HOST}:{port}": _mongod(folder / f"mongod{port}", port) for port in ports[:3]}
    nats_servers = {f"nats{n}": _nats(folder, n, ports[3:6], ports[6:]) for n in range(3)}
    async with AsyncExitStack() as stack:
        for program in (*mongods.values(), *nats_servers.values()):
            stack.push_async_callback(program.close)
            await program.start()
        await until(lambda: asyncio.to_thread(_initiated, list(mongods)), START_SECONDS)
        cluster = Cluster(mongods, nats_servers, ports[3:6])
        await cluster.primary()
        yield cluster


def _ports(count: int) -> list[int]:
    found: dict[int, None] = {}
    while len(found) < count:
        found[free()] = None
    return list(found)


def _mongod(folder: Path, port: int) -> Program:
    folder.mkdir(parents=True)
    return Program(f"mongod{port}", Mongod(folder, port).command, folder / "log", {})


def _nats(folder: Path, number: int, ports: Sequence[int], routes: Sequence[int]) -> Program:
    folder = folder / f"nats{number}"
    folder.mkdir(parents=True)
    config = {
        "server_name": f"nats{number}",
        "host": HOST,
        "port": ports[number],
        "cluster": {
            "name": "chaos",
            "listen": f"{HOST}:{routes[number]}",
            "routes": [f"nats://{HOST}:{port}" for port in routes],
        },
        "jetstream": {"store_dir": str(folder / "data")},
    }
    file = folder / "nats.conf"
    file.write_bytes(orjson.dumps(config))
    return Program(f"nats{number}", lambda: [str(find("nats-server")), "--config", str(file)], folder / "log", {})


def _initiated(addresses: Sequence[str]) -> bool:
    members = [{"_id": number, "host": address} for number, address in enumerate(addresses)]
    try:
        for address in addresses:
            with _one(address) as client:
                client.admin.command("ping")
        with _one(addresses[0]) as client:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members, "settings": ELECTION})
    except PyMongoError:
        return False
    return True


def _one(address: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(f"mongodb://{address}/?directConnection=true", serverSelectionTimeoutMS=1000)
