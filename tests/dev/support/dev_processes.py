"""`eventscope dev` as a process, and what it answers."""

import asyncio
import fcntl
import os
import signal
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from eventscope.dev.data_folder import RunningDev, running_dev

STORED = "{ events(first: 1, order: OLDEST_FIRST) { nodes { id } } log { head } }"


class Until(Protocol):
    """The fixture of that name."""

    async def __call__(self, condition: Callable[[], object], seconds: float = 60.0) -> None: ...


@dataclass(frozen=True, slots=True)
class DevProcess:
    """One `eventscope dev`."""

    process: Process
    data_dir: Path
    output: Path

    @property
    def now(self) -> RunningDev:
        """Where its parts are at this moment."""
        found = running_dev(self.data_dir)
        assert found is not None
        return found

    async def up(self, until: Until) -> None:
        """Wait until all parts are ready."""
        await until(lambda: running_dev(self.data_dir) or self.process.returncode is not None)
        assert self.process.returncode is None, self.output.read_text()

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal; returns its exit code."""
        self.process.send_signal(number)
        return await self.process.wait()

    async def ask(self, query: str) -> Any:
        """The data of the answer to a query."""
        async with httpx.AsyncClient(base_url=self.now.api) as client:
            answer = (await client.post("/graphql", json={"query": query})).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def head(self) -> int:
        """The last position of its log."""
        return int((await self.ask(STORED))["log"]["head"])


@asynccontextmanager
async def dev_process(folder: Path, *options: str, **environment: str) -> AsyncIterator[DevProcess]:
    """One with its data in that folder, for the length of the block; then it is killed."""
    output = folder / "output"
    with output.open("wb") as file:
        process = await create_subprocess_exec(
            *(sys.executable, "-m", "eventscope", "dev", "--port", "0"),
            *("--data-dir", str(folder / "data"), *options),
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
        )
    try:
        yield DevProcess(process, folder / "data", output)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def grows(dev: DevProcess, head: int) -> None:
    """Wait until the log has gone beyond that position."""
    async with asyncio.timeout(60):
        while await dev.head() <= head:  # noqa: ASYNC110 (what is waited for happens in other processes)
            await asyncio.sleep(0.02)


async def until_ready(dev: DevProcess) -> None:
    """Wait until the API is ready."""
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=dev.now.api) as client:
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.02)


def nobody_holds(data_dir: Path) -> bool:
    """Whether none of its processes lives: each of them holds the folder's lock."""
    with (data_dir / "lock").open() as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
