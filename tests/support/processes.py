"""Eventscope's commands, and servers, as processes that a test may kill."""

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
    """A mongod that is ready; it is killed at the end of the block."""
    async with child_process(server.command(), {}) as process:
        await ready(server, lambda: process.returncode is None)
        yield process


@asynccontextmanager
async def child_process(
    command: Sequence[str | Path], variables: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command with these variables added; it is killed at the end of the block."""
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
    """The settings as environment variables, without those that have their default."""
    given = settings.model_dump(exclude_defaults=True)
    return {
        variable(name): ",".join(value) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)
        for name, value in given.items()
    }
