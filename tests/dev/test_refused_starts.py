"""An `eventscope dev` that cannot start says why, and leaves nothing behind."""

import asyncio
import io
import os
import socket
import sys
from asyncio.subprocess import create_subprocess_exec
from pathlib import Path

import pytest
from rich.console import Console

from eventscope.dev.data_folder import RunningDev, locked
from eventscope.dev.run import run_dev
from eventscope.errors import CannotStart
from eventscope.settings import Settings
from tests.dev.support.dev_processes import Until, dev_process, nobody_holds, until_ready

pytestmark = pytest.mark.processes

NEVER_READY = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"the moon is in the wrong place")

port = int(os.environ["EVENTSCOPE_PORT"])
HTTPServer(("127.0.0.1", port if "serve" in sys.argv else 0), Answer).serve_forever()
"""


async def test_a_second_one_on_the_same_folder_reports_where_the_first_one_is(tmp_path: Path, until: Until) -> None:
    (tmp_path / "second").mkdir()
    async with dev_process(tmp_path) as first:
        await first.up(until)
        async with dev_process(tmp_path / "second", "--data-dir", str(first.data_dir)) as second:
            assert await second.process.wait() == 2
            said = second.output.read_text()
        assert f"`eventscope dev` is already running on {first.data_dir}, at {first.now.api};" in said
        assert "--data-dir" in said
        await until_ready(first)


async def test_a_port_in_use_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        async with dev_process(tmp_path, "--port", port) as dev:
            assert await dev.process.wait() == 2
            assert (
                f"port {port} on 127.0.0.1 is taken; --port 0 or EVENTSCOPE_PORT=0 picks a free one"
                in dev.output.read_text()
            )
            assert not (dev.data_dir / "logs").exists()


async def test_a_part_that_fails_to_start_ends_everything_and_its_reason_is_shown(tmp_path: Path) -> None:
    earlier = tmp_path / "data" / "logs" / "ingest.log"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("a trouble of yesterday\n")
    async with dev_process(tmp_path, EVENTSCOPE_SUBJECTS=">") as dev:
        assert await dev.process.wait() == 2
        said = dev.output.read_text()
        assert dev.data_dir == earlier.parents[1]
        assert "yesterday" not in said
        assert "ingest ended with exit code 2 while starting" in said
        assert f"The end of {dev.data_dir}/logs/ingest.log:" in said
        assert "EVENTSCOPE_SUBJECTS" in said
        assert "Traceback" not in said
        assert nobody_holds(dev.data_dir)


async def test_when_the_api_does_not_become_ready_its_own_reason_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program.py"
    program.write_text(NEVER_READY)
    monkeypatch.setattr("eventscope.dev.run.READY_SECONDS", 3.0)
    given = Settings(mongo_url="mongodb://127.0.0.1:1", nats_url="nats://127.0.0.1:1")
    console = Console(file=io.StringIO())
    with pytest.raises(CannotStart, match="the API was not ready within 3 seconds: the moon is in the wrong place"):
        await run_dev(given, port=0, data_dir=tmp_path, console=console, program=[sys.executable, str(program)])
    assert nobody_holds(tmp_path)


@pytest.mark.parametrize("given", [["MONGO_URL"], ["NATS_URL"], ["MONGO_URL", "NATS_URL"]])
async def test_sample_events_are_never_sent_to_servers_from_the_settings(tmp_path: Path, given: list[str]) -> None:
    # nothing listens there: trying to connect would take time, and end with another sentence
    names = {f"EVENTSCOPE_{name}": "nats://ada:secret@127.0.0.1:1" for name in given}
    async with dev_process(tmp_path, "--sample", **names) as dev:
        assert await dev.process.wait() == 2
        [said] = dev.output.read_text().splitlines()
    assert said.startswith("eventscope: --sample is for embedded servers only")
    assert " and ".join(names) in said
    assert "secret" not in said
    assert not dev.data_dir.exists()


@pytest.mark.parametrize("mongod", [True, False], ids=["given", "of a dev whose MongoDB is given"])
async def test_the_sample_command_uses_only_embedded_servers_too(tmp_path: Path, mongod: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    async with locked(folder):
        RunningDev("", "mongodb://127.0.0.1:1", "nats://127.0.0.1:1", {"dev": os.getpid(), "nats": 1}).write(folder)
        process = await create_subprocess_exec(
            *(sys.executable, "-m", "eventscope", "sample", "--data-dir", str(folder)),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **({"EVENTSCOPE_NATS_URL": "nats://127.0.0.1:1"} if mongod else {})},
        )
        _, said = await process.communicate()
    assert process.returncode == 2
    assert b"embedded" in said
    assert b"--server" in said
