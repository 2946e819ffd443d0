"""A program that is killed, frozen and started again: one process of a chaos run."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from eventscope.background import cancel
from eventscope.dev.servers import EmbeddedServer, ready
from eventscope.processes.guard import guard_command, lifeline

RESTART_SECONDS = 0.3


class Program:
    """A program on this machine that writes its output to a log. It dies with this process."""

    def __init__(
        self, name: str, command: Callable[[], Sequence[str]], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._environment = environment
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0

    @property
    def runs(self) -> bool:
        """Whether its process exists, even if frozen."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it."""
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *guard_command(self._command()),
                stdin=lifeline(),
                stdout=log,
                stderr=log,
                env=os.environ | self._environment,
                start_new_session=True,
            )

    async def keep(self) -> None:
        """Start it, and restart it whenever it ends, as a supervisor does."""
        await self.start()
        self._keeper = asyncio.create_task(self._keep())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if its process exists."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def freeze(self, seconds: float) -> None:
        """Suspend it for `seconds`, with all its connections open."""
        self.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.send(signal.SIGCONT)

    async def close(self) -> None:
        """Kill it, without a restart."""
        if self._keeper is not None:
            await cancel(self._keeper)
        await self.kill()

    async def _keep(self) -> None:
        while self._process is not None:
            await self._process.wait()
            await asyncio.sleep(RESTART_SECONDS)
            await self.start()


class ServerProgram(Program):
    """A server of `eventscope.dev.servers`."""

    def __init__(self, server: EmbeddedServer) -> None:
        server.folder.mkdir(parents=True, exist_ok=True)
        super().__init__(server.name, server.command, server.folder / "log", {})
        self.server = server

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await super().start()
        await ready(self.server, lambda: self.runs)
