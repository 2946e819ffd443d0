"""A signal ends every command, at whatever moment of its start it comes, and leaves no process behind."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.interrupted_starts import BOUND, SIGNALS, default_exit_codes, run_starts
from tests.support.processes import environment
from tests.support.until import until

pytestmark = pytest.mark.processes

LATEST = 3.0  # seconds after the start
MOMENTS = 4
COMMANDS: dict[str, Sequence[str]] = {
    "serve": ["serve"],
    "workers": ["serve", "--workers", "2"],
    "ingest": ["ingest"],
    "tail": ["tail", "--api"],
    "sample": ["sample", "--server"],
    "import": ["import"],
}


async def test_dev_ends_on_a_signal_at_any_moment_and_the_next_start_finds_its_events(tmp_path: Path) -> None:
    ends = await run_starts(tmp_path / "data", 6, seed=1, every=3)
    assert {end.number for end in ends} == set(SIGNALS)
    assert [fault for end in ends for fault in end.faults] == []


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_other_command_ends_on_a_signal_at_any_moment(
    name: str, settings: Settings, log: Log, client: Client, api: str, tmp_path: Path
) -> None:
    file = tmp_path / "many.jsonl"
    file.write_text('{"type": "tick"}\n' * 200_000)
    last = {"tail": api, "sample": settings.nats_url, "import": str(file)}
    command = [*COMMANDS[name], *([last[name]] if name in last else [])]
    if name == "sample":
        settings = settings.model_copy(update={"nats_url": ""})
    dice = random.Random(name)
    for turn in range(MOMENTS):
        number = (signal.SIGINT, signal.SIGTERM)[turn % 2]
        own = settings.model_copy(update={"port": free(), "lease_seconds": 0.5})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "eventscope", *command),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **environment(own)},
        )
        await asyncio.sleep(LATEST * (turn + dice.random()) / MOMENTS)
        process.send_signal(number)
        async with asyncio.timeout(BOUND):
            code = await process.wait()
        # 0 for commands that run until a signal, and the shells' exit codes for the rest
        assert code in (0, 128 + number, *default_exit_codes(number)), (name, number, code)
        await until(lambda: _with(settings.stream) == [], 5.0)


def _with(stream: str) -> list[int]:
    """The processes whose settings name this stream."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if stream.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found
