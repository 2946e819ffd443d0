"""Embedded MongoDB and NATS servers: child processes with their data in a folder."""

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import orjson
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from eventscope.dev.binaries import find
from eventscope.errors import CannotStart
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import HOST, is_free, recall, remember

START_SECONDS = 60.0  # after a crash a server reads its log before it answers
STOP_SECONDS = 10.0
TRIES = 5
REPLICA_SET = "eventscope"
NOT_INITIATED = 94  # MongoDB's NotYetInitialized
PARAMETERS = (
    "diagnosticDataCollectionEnabled=false",
    "minSnapshotHistoryWindowInSeconds=0",  # nothing here reads the past, and its history doubles the indexes
)


class PortTaken(CannotStart):
    """The server ended because its port was taken between our check and its start; another port may work."""


class EmbeddedServer(Protocol):
    """A server that can be run as a child process."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def port(self) -> int: ...
    @property
    def url(self) -> str: ...

    def command(self) -> list[str]:
        """Prepare the folder, and return the command line. CannotStart when the program is not found."""
        ...

    async def answers(self) -> bool:
        """Whether this very server, and not another one at its port, is ready for work."""
        ...


@dataclass(frozen=True, slots=True)
class Mongod:
    """A MongoDB: a replica set of one member, since transactions need a replica set."""

    name: ClassVar[str] = "mongod"
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"mongodb://{self.host}/?directConnection=true"

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder.absolute() / "data"

    def command(self) -> list[str]:
        binary = find(self.name)
        if _unready(self.folder).exists():
            # a mongod that was stopped during its very first start may never start again with the files it left
            shutil.rmtree(self.data, ignore_errors=True)
        if not self.data.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _unready(self.folder).touch()
            self.data.mkdir()
        options = ["--dbpath", str(self.data), "--port", str(self.port), "--bind_ip", HOST, "--nounixsocket"]
        options += ["--replSet", REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", "0.25"]
        for parameter in PARAMETERS:
            options += ["--setParameter", parameter]
        return [str(binary), "--quiet", *options]

    async def answers(self) -> bool:
        # check the port first: after a failure the driver waits half a second before it tries again.
        # In a thread, since pymongo's async client leaves a socket open when it is closed while it connects.
        return await _listens(self.port) and await asyncio.to_thread(self._writable)

    def _writable(self) -> bool:
        # all timeouts are set, since a waiting thread cannot be cancelled
        with MongoClient[dict[str, Any]](
            self.url, serverSelectionTimeoutMS=1000, connectTimeoutMS=5000, socketTimeoutMS=5000
        ) as client:
            try:
                options = client.admin.command("getCmdLineOpts")
                if options["parsed"]["storage"]["dbPath"] != str(self.data):
                    return False
                self._join(client)
                return bool(client.admin.command("hello")["isWritablePrimary"])
            except PyMongoError:
                return False

    def _join(self, client: MongoClient[dict[str, Any]]) -> None:
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code != NOT_INITIATED:
                raise
            config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": self.host}]}
            client.admin.command("replSetInitiate", config)
            return
        if config["members"][0]["host"] != self.host:
            # another port than last time: the stored configuration has the member's old name
            config["members"][0]["host"] = self.host
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)


@dataclass(frozen=True, slots=True)
class Nats:
    """A NATS server with JetStream."""

    name: ClassVar[str] = "nats-server"
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    @property
    def identity(self) -> str:
        return "eventscope-" + hashlib.sha256(str(self.folder.absolute()).encode()).hexdigest()[:12]

    def command(self) -> list[str]:
        binary = find(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "server_name": self.identity,
            "host": HOST,
            "port": self.port,
            # events may have up to 1 MiB; larger messages must arrive too, to be rejected with a reason
            "max_payload": 8 * 1024 * 1024,
            # The operating system has all acknowledged messages, so a killed server loses none, whatever the interval
            # (0 of 250,000 in 8 kills each). A crash of the machine loses what no ingester has stored yet: at most a
            # second's messages here, two minutes' by default, none with "always", which takes 5,900 events/s instead of
            # 30,000.
            "jetstream": {"store_dir": str(self.folder.absolute() / "data"), "sync_interval": "1s"},
        }
        file = self.folder / "nats.conf"
        file.write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
        return [str(binary), "--config", str(file)]

    async def answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            async with asyncio.timeout(2.0):  # wait_for may swallow a cancellation in Python 3.11
                greeting = await reader.readline()
            info = orjson.loads(greeting.removeprefix(b"INFO "))
        except (OSError, TimeoutError, ValueError):
            return False
        finally:
            await _hang_up(writer)
        return bool(info.get("server_name") == self.identity and info.get("jetstream"))


async def ready(server: EmbeddedServer, alive: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait until the server answers. PortTaken or CannotStart if it ends, CannotStart after `seconds` of silence."""
    try:
        async with asyncio.timeout(seconds):
            while not (alive() and await server.answers()):
                if not alive():
                    taken = not is_free(server.port)
                    raise (PortTaken if taken else CannotStart)(f"{server.name} ended while starting")
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise CannotStart(f"{server.name} did not answer within {seconds:g} seconds") from None
    remember(server.folder, server.port)
    if _unready(server.folder).exists():
        _unready(server.folder).unlink()
        _persist(server.folder)  # before anything is stored: data beside an `unready` mark is removed at the next start


def _unready(folder: Path) -> Path:
    """The mark of a server that has never been ready, and so has never stored anything."""
    return folder / "unready"


def _persist(folder: Path) -> None:
    """Write the entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def run_server(kind: Callable[[Path, int], EmbeddedServer], folder: Path) -> Iterator[EmbeddedServer]:
    """Run a server for the block, in a program without an event loop; its output goes to `folder`/log."""
    server, process = _launch(kind, folder)
    try:
        yield server
    finally:
        _stop(process)


def _launch(
    kind: Callable[[Path, int], EmbeddedServer], folder: Path
) -> tuple[EmbeddedServer, subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        server = kind(folder, recall(folder))
        process = _start(server)
        try:
            _await(server, process)
        except PortTaken:
            continue
        except BaseException:
            _stop(process)
            raise
        return server, process
    raise CannotStart(f"{server.name} found no port that stayed free")


def _start(server: EmbeddedServer) -> subprocess.Popen[bytes]:
    with (server.folder / "log").open("ab") as log:
        # a session of its own: Ctrl-C reaches only us, and we stop the server when it is no longer needed
        return subprocess.Popen(
            guard_command(server.command()), stdin=lifeline(), stdout=log, stderr=log, start_new_session=True
        )


def _await(server: EmbeddedServer, process: subprocess.Popen[bytes]) -> None:
    try:
        asyncio.run(ready(server, lambda: process.poll() is None))
    except CannotStart as error:
        raise type(error)(f"{error}; see {server.folder / 'log'}") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    await _hang_up(writer)
    return True


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
