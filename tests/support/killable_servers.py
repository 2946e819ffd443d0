"""Servers that a test may freeze and kill."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eventscope.dev.servers import Nats, ready
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import free


def freeze(pid: int) -> None:
    """Suspend a child of this process, and return once all of its threads stand still."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)  # until then they may still answer


@dataclass(frozen=True, slots=True)
class KillableServer:
    """A running server."""

    url: str
    port: int
    pid: int

    def freeze(self) -> None:
        """Suspend it, with all connections open."""
        freeze(self.pid)

    def thaw(self) -> None:
        """Let it continue."""
        os.kill(self.pid, signal.SIGCONT)


@asynccontextmanager
async def killable_nats(folder: Path, port: int | None = None) -> AsyncIterator[KillableServer]:
    """A nats-server on that folder for the length of the block."""
    server = Nats(folder, port or free())
    process = await asyncio.create_subprocess_exec(
        *guard_command(server.command()),
        stdin=lifeline(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await ready(server, lambda: process.returncode is None)
        yield KillableServer(server.url, server.port, process.pid)
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await process.wait()
