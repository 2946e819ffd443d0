"""The servers whose live delivery is compared, and the CPU and memory of their processes."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import httpx
import orjson

from benchmarks.ingest_peers import PLACE, npm_install
from benchmarks.live_events import PLAIN, QUERY, event, text
from benchmarks.stage import Scene
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import HOST, free
from eventscope.settings import PREFIX
from eventscope.subscriptions.live import live_batch

START_SECONDS: Final = 60.0
MERCURIUS: Final = PLACE / "mercurius"


@dataclass(frozen=True, slots=True)
class LiveServer:
    """One of the servers compared, and its subscription."""

    name: str
    command: Sequence[str]
    query: str
    signalled: bool = False
    """Whether it tells a client that it has caught up; the others report the number of their clients at /healthz."""
    ready: bool = False
    """Whether it sends the same prepared text for every event."""
    share: float = 1.0
    """The share of the messages that it is measured with, if all would take too long."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running server."""

    server: LiveServer
    address: str
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that the process has used, all threads together."""
        return time.clock_gettime(~self.pid << 3 | 2)  # the kernel's number for the clock of a process: CPUCLOCK_SCHED

    def memory(self) -> float:
        """The resident memory in KiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024

    async def follow(self, clients: int) -> None:
        """Wait until it sends to all `clients`, unless it tells them itself that they have caught up."""
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as http:
            while not self.server.signalled and await _health(http, self.address) != str(clients):
                await asyncio.sleep(0.02)


RAW: Final = LiveServer("raw Starlette send_text", [sys.executable, "-m", "benchmarks.live_raw"], PLAIN, ready=True)
EVENTSCOPE: Final = LiveServer(
    "Eventscope", [sys.executable, "-m", "eventscope", "serve", "--no-ingest"], QUERY, signalled=True
)


def peers() -> list[LiveServer]:
    """The peers that can run on this machine; installs what they need."""
    found = [LiveServer("stock Strawberry", [sys.executable, "-m", "benchmarks.live_strawberry"], PLAIN, share=0.1)]
    if shutil.which("npm"):
        npm_install(MERCURIUS)
        found.append(LiveServer("Mercurius", ["node", str(MERCURIUS / "live.mjs")], PLAIN, share=0.5))
    return found


def versions() -> dict[str, str]:
    """The versions of everything compared."""
    packages = {"Starlette": "starlette", "uvicorn": "uvicorn", "Strawberry": "strawberry-graphql"}
    found = {name: version(package) for name, package in packages.items()}
    if shutil.which("npm"):
        node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
        dependencies = orjson.loads((MERCURIUS / "package.json").read_bytes())["dependencies"]
        found |= {"Node": node.strip().removeprefix("v"), "Mercurius": dependencies["mercurius"]}
    return found


@asynccontextmanager
async def started(server: LiveServer, at: Scene) -> AsyncIterator[Running]:
    """The server, running for the length of the block."""
    port = free()
    settings = {
        "MONGO_URL": at.servers.mongo,
        "MONGO_DATABASE": at.name,
        "MONGO_DRIVER": at.servers.driver,
        "NATS_URL": at.servers.nats,
        "STREAM": at.name,
        "SUBJECTS": f"{at.name}.>",
        "LOG_LEVEL": "error",
        "PORT": str(port),
        "CONNECTIONS": "100000",
        "CONNECTIONS_PER_ADDRESS": "100000",
    }
    process = await asyncio.create_subprocess_exec(
        *guard_command(server.command),
        stdin=lifeline(),
        env=os.environ
        | {f"{PREFIX}{key}": value for key, value in settings.items()}
        | {"SUBJECT": live_batch.subject(at.name), "TEXT": text(event(1)), "NODE_ENV": "production"},
    )
    running = Running(server, f"{HOST}:{port}", process.pid)
    try:
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as http:
            while await _health(http, running.address) is None:
                if process.returncode is not None:
                    raise RuntimeError(f"{server.name} does not start")
                await asyncio.sleep(0.05)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _health(http: httpx.AsyncClient, address: str) -> str | None:
    try:
        answer = await http.get(f"http://{address}/healthz")
    except httpx.TransportError:
        return None
    return answer.text if answer.status_code == 200 else None
