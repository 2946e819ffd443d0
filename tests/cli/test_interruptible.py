"""Ctrl-C while a command is still being imported ends it without a traceback."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

SCRIPT = str(Path(sys.executable).with_name("eventscope"))


@pytest.mark.parametrize("command", [["-m", "eventscope"], [SCRIPT]], ids=["module", "script"])
async def test_an_interrupt_during_the_imports_leaves_no_traceback(command: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", *command, "ingest"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while line := await process.stderr.readline():
        if b"asyncio.events" in line:  # which is one of the first imports
            break
    assert line
    process.send_signal(signal.SIGINT)
    rest = await process.stderr.read()
    assert (await process.wait(), b"Traceback" in rest) == (-signal.SIGINT, False)
