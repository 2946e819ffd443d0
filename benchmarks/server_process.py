"""A server that is measured, as a process on a core of its own, and the CPU and memory that it uses."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import http_client
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free

PYTHON: Final = (sys.executable, "-m")
EVENTSCOPE: Final = (*PYTHON, "eventscope", "serve", "--no-ingest")
DRIVERS: Final = ("motor", "pymongo")
CORE: Final = 0
START_SECONDS: Final = 60
SETTLE_SECONDS: Final = 1.0  # after that its work at startup, like reading the newest events into memory, is done


@dataclass(frozen=True, slots=True)
class ReadServer:
    """One of the servers compared, and how to start it. MONGO, DATABASE, DRIVER and PORT are in its environment."""

    name: str
    command: Sequence[str]
    driver: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def started(server: ReadServer, mongo: str, database: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The server on a core of its own; its port and its process."""
    port = free()
    driver = server.driver or DRIVERS[0]
    common = {"MONGO": mongo, "DATABASE": database, "DRIVER": driver, "PORT": str(port)}
    own = {"MONGO_URL": mongo, "MONGO_DATABASE": database, "MONGO_DRIVER": driver, "PORT": str(port)}
    process = subprocess.Popen(
        guard_command(server.command),
        stdin=lifeline(),
        env={**os.environ, **common, **{f"EVENTSCOPE_{name}": value for name, value in own.items()}}
        | {"EVENTSCOPE_LOG_LEVEL": "warning"}
        | dict(server.environment),
        preexec_fn=lambda: os.sched_setaffinity(0, {CORE}),
    )
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait()


async def is_ready(port: int, request: bytes, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers and has settled; False if its process has ended."""
    async with asyncio.timeout(START_SECONDS):
        while process.poll() is None:
            try:
                await http_client.answer(port, request)
                await asyncio.sleep(SETTLE_SECONDS)
                return True
            except OSError:
                await asyncio.sleep(0.05)
    return False


def cpu(pid: int) -> float:
    """The seconds of CPU that the process has used so far."""
    user, system = _stat(pid)[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """The resident memory of the process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def children(pid: int) -> list[int]:
    """The ids of the processes that the process has started."""
    running = (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
    return [one for one in running if _parent(one) == pid]


def _parent(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except FileNotFoundError:  # it has ended meanwhile
        return None


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
