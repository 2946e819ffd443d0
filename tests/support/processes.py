"""Eventscope's commands, and servers, as processes of a test's own, which it may kill."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from eventscope.dev.servers import Mongod, ready
from eventscope.processes.guard import guard_command, lifeline
from eventscope.settings import Settings, variable


@asynccontextmanager
async def eventscope_process(settings: Settings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`eventscope` with these arguments and settings; it is killed at the end of the block."""
    async with child_process([sys.executable, "-m", "eventscope", *arguments], environment(settings)) as process:
        yield process


@asynccontextmanager
async def mongod_process(server: Mongod) -> AsyncIterator[asyncio.subprocess.Process]:
    """That server, ready; it is killed at the end of the block."""
    async with child_process(server.command(), {}) as process:
        await ready(server, lambda: process.returncode is None)
        yield process


@asynccontextmanager
async def child_process(
    command: Sequence[str | Path], variables: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command with these variables besides; it is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *guard_command(command),
        stdin=lifeline(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **variables},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def environment(settings: Settings) -> dict[str, str]:
    """The settings as the environment has them, but for defaults."""
    given = settings.model_dump(exclude_defaults=True)
    return {
        variable(name): ",".join(value) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
        for name, value in given.items()
    }
