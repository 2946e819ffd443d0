"""`eventscope doctor` as a command: a table for people, JSON and an exit code for programs."""

import asyncio
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from rich.console import Console

from eventscope.dev.data_folder import RunningDev, running_dev
from eventscope.doctor import examine as doctor
from eventscope.doctor.examine import Options, embedded_servers, examine
from eventscope.doctor.finding import Finding, Level
from eventscope.settings import Settings
from tests.support.processes import environment
from tests.support.until import until


async def run(*arguments: str, **environment: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EVENTSCOPE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "doctor", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=clean | environment,
    )
    out, err = await process.communicate()
    assert b"Traceback" not in err, err.decode()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_people_see_every_finding_with_its_advice(settings: Settings, client: Client) -> None:
    findings = await examine(settings, Options())
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(doctor.table([*findings, Finding("x", Level.BROKEN, "[red]as it is[/red]", "[b]do\x1b[2J")]))
    text = console.export_text()
    assert "[red]as it is[/red]" in text
    assert "→ [b]do\\x1b[2J" in text
    for finding in findings:
        assert finding.check in text


async def test_any_terminal_can_show_the_findings(settings: Settings, client: Client) -> None:
    code, out = await run(**environment(settings), PYTHONIOENCODING="ascii")
    assert code > 0
    assert "\\u2192 " in out  # the arrow before what to do


async def test_programs_get_an_exit_code_and_json(settings: Settings, client: Client, at_work: None) -> None:
    code, out = await run("--json", **environment(settings))
    answer: Any = orjson.loads(out)
    assert code == 1
    assert answer["worst"] == "warning"
    assert {"check", "level", "found", "advice"} == set(answer["findings"][0])
    code, out = await run("--json")
    assert (code, orjson.loads(out)["worst"]) == (2, "broken")


@pytest.mark.processes
async def test_it_finds_the_servers_of_a_running_eventscope_dev(tmp_path: Path) -> None:
    data = tmp_path / "data"
    dev = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "dev", "--port", "0", "--data-dir", str(data)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until(lambda: running_dev(data) is not None or dev.returncode is not None)
        _, out = await run("--json", "--data-dir", str(data))
        levels = {one["check"]: one["level"] for one in orjson.loads(out)["findings"]}
        levels.pop("MongoDB disk")
        assert set(levels.values()) <= {"ok", "note"}
        assert levels["NATS replicas"] == levels["MongoDB replica set"] == "note"
    finally:
        dev.send_signal(signal.SIGTERM)
        await dev.wait()


def test_only_servers_that_eventscope_dev_itself_started_are_embedded() -> None:
    here = RunningDev(api="", mongo="mongodb://m", nats="nats://n", pids={"dev": 1, "mongod": 2, "api": 3})
    assert embedded_servers(Settings(mongo_url="mongodb://m", nats_url="nats://n"), here) == {"mongod"}
    assert embedded_servers(Settings(mongo_url="mongodb://other", nats_url="nats://n"), here) == frozenset()
    assert embedded_servers(Settings(mongo_url="mongodb://m", nats_url="nats://n"), None) == frozenset()
