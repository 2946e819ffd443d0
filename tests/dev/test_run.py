"""`eventscope dev`: all parts start together, restart when one dies, and leave nothing behind."""

import asyncio
import fcntl
import io
import os
import signal
import socket
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from rich.console import Console

from eventscope.dev.data_folder import RunningDev, locked, running_dev
from eventscope.dev.run import run_dev
from eventscope.errors import CannotStart
from eventscope.processes import private
from eventscope.redact import redacted
from eventscope.settings import Settings

pytestmark = pytest.mark.processes

PARTS = ["ingest", "api", "mongod", "nats"]
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
STORED = "{ events(first: 1, order: OLDEST_FIRST) { nodes { id } } log { head } }"


class Until(Protocol):
    async def __call__(self, condition: Callable[[], object], seconds: float = 60.0) -> None: ...


@dataclass(frozen=True, slots=True)
class Started:
    """One `eventscope dev`."""

    process: Process
    data_dir: Path
    output: Path

    @property
    def now(self) -> RunningDev:
        found = running_dev(self.data_dir)
        assert found is not None
        return found

    async def up(self, until: Until) -> None:
        await until(lambda: running_dev(self.data_dir) or self.process.returncode is not None)
        assert self.process.returncode is None, self.output.read_text()

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await self.process.wait()

    async def ask(self, query: str) -> Any:
        async with httpx.AsyncClient(base_url=self.now.api) as client:
            answer = (await client.post("/graphql", json={"query": query})).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def head(self) -> int:
        return int((await self.ask(STORED))["log"]["head"])


@asynccontextmanager
async def started(folder: Path, *options: str, **environment: str) -> AsyncIterator[Started]:
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
        yield Started(process, folder / "data", output)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_answers_once_it_is_ready_and_keeps_its_events_across_a_restart(
    tmp_path: Path, until: Until, alive: Callable[[int], bool]
) -> None:
    async with started(tmp_path, "--sample") as dev:
        await dev.up(until)
        assert set(dev.now.pids) == {"dev", "sample", *PARTS}
        assert dev.now.pids["dev"] == dev.process.pid
        await _grows(dev, 0)
        before = await dev.ask(STORED)
        assert f"{dev.now.api}/graphql" in dev.output.read_text()
        pids = dev.now.pids
        assert await dev.end(signal.SIGTERM) == 0
        assert not any(alive(pid) for pid in pids.values())
        assert not (dev.data_dir / "running.json").exists()
    # credentials for another NATS must not be used for an embedded one
    async with started(tmp_path, EVENTSCOPE_NATS_CA_FILE="/nowhere", EVENTSCOPE_NATS_DOMAIN="hub") as dev:
        await dev.up(until)
        after = await dev.ask(STORED)
        assert after["events"] == before["events"]
        assert int(after["log"]["head"]) >= int(before["log"]["head"])
        assert await dev.end(signal.SIGHUP) == 0


async def test_the_query_that_it_prints_works_as_it_is_printed(tmp_path: Path, until: Until) -> None:
    async with started(tmp_path, "--sample") as dev:
        await dev.up(until)
        await _grows(dev, 0)
        await until(lambda: "Ctrl-C" in dev.output.read_text())
        line = next(line for line in dev.output.read_text().splitlines() if "curl" in line)
        shell = await asyncio.create_subprocess_shell(line[line.index("curl") :], stdout=asyncio.subprocess.PIPE)
        answer, _ = await shell.communicate()
        assert b'"aggregateId"' in answer, answer
        assert await dev.end(signal.SIGINT) == 0


async def test_when_it_is_killed_no_child_is_left_and_the_next_start_succeeds(
    tmp_path: Path, until: Until, alive: Callable[[int], bool]
) -> None:
    async with started(tmp_path, "--sample") as dev:
        await dev.up(until)
        await _grows(dev, 0)
        head, pids = await dev.head(), dev.now.pids
        await dev.end(signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in pids.values()))
        assert running_dev(dev.data_dir) is None
    async with started(tmp_path) as dev:
        await dev.up(until)
        assert await dev.head() >= head


async def test_each_part_that_is_killed_is_restarted_and_the_rest_keeps_running(tmp_path: Path, until: Until) -> None:
    async with started(tmp_path, "--sample", "--rate", "50") as dev:
        await dev.up(until)
        for part in [*PARTS, "sample"]:
            before = dev.now
            os.kill(before.pids[part], signal.SIGKILL)
            await until(lambda: dev.now.pids[part] != before.pids[part])  # noqa: B023 (awaited in its turn)
            after = dev.now
            assert (after.api, after.mongo, after.nats) == (before.api, before.mongo, before.nats)
            await _ready(dev)
            await _grows(dev, await dev.head())
        assert await dev.end(signal.SIGINT) == 0


async def test_a_second_one_on_the_same_folder_reports_where_the_first_one_is(tmp_path: Path, until: Until) -> None:
    (tmp_path / "second").mkdir()
    async with started(tmp_path) as first:
        await first.up(until)
        async with started(tmp_path / "second", "--data-dir", str(first.data_dir)) as second:
            assert await second.process.wait() == 2
            said = second.output.read_text()
        assert f"`eventscope dev` is already running on {first.data_dir}, at {first.now.api};" in said
        assert "--data-dir" in said
        await _ready(first)


async def test_a_second_one_on_another_folder_runs_beside_the_first_one(tmp_path: Path, until: Until) -> None:
    (tmp_path / "other").mkdir()
    async with started(tmp_path) as first, started(tmp_path / "other") as second:
        await first.up(until)
        await second.up(until)
        assert first.now.api != second.now.api
        assert first.now.mongo != second.now.mongo
        assert first.now.nats != second.now.nats


async def test_a_port_in_use_is_reported_before_anything_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        async with started(tmp_path, "--port", port) as dev:
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
    async with started(tmp_path, EVENTSCOPE_SUBJECTS=">") as dev:
        assert await dev.process.wait() == 2
        said = dev.output.read_text()
        assert dev.data_dir == earlier.parents[1]
        assert "yesterday" not in said
        assert "ingest ended with exit code 2 while starting" in said
        assert f"The end of {dev.data_dir}/logs/ingest.log:" in said
        assert "EVENTSCOPE_SUBJECTS" in said
        assert "Traceback" not in said
        assert _nobody_holds(dev.data_dir)


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
    assert _nobody_holds(tmp_path)


async def test_servers_from_the_settings_are_used_and_none_is_started(
    tmp_path: Path, until: Until, mongo_url: str, nats_url: str, database_name: str, stream_name: str
) -> None:
    given = {"MONGO_URL": mongo_url, "NATS_URL": nats_url, "MONGO_DATABASE": database_name, "STREAM": stream_name}
    given["SUBJECTS"] = f"{stream_name.lower()}.>"
    async with started(tmp_path, **{f"EVENTSCOPE_{name}": value for name, value in given.items()}) as dev:
        await dev.up(until)
        assert (dev.now.mongo, dev.now.nats) == (mongo_url, nats_url)
        assert set(dev.now.pids) == {"dev", "ingest", "api"}
        await until(lambda: "Ctrl-C" in dev.output.read_text())
        assert await dev.end(signal.SIGTERM) == 0
        said = dev.output.read_text()
        start, _ = said.split("Eventscope is ready.")
        for line in (
            f"MongoDB: {redacted(mongo_url)}, not embedded (EVENTSCOPE_MONGO_URL)",
            f"NATS: {redacted(nats_url)}, not embedded (EVENTSCOPE_NATS_URL)",
        ):
            assert (said.count(line), start.count(line)) == (1, 1)


@pytest.mark.parametrize("given", [["MONGO_URL"], ["NATS_URL"], ["MONGO_URL", "NATS_URL"]])
async def test_sample_events_are_never_sent_to_servers_from_the_settings(tmp_path: Path, given: list[str]) -> None:
    # nothing listens there: trying to connect would take time, and end with another sentence
    names = {f"EVENTSCOPE_{name}": "nats://ada:secret@127.0.0.1:1" for name in given}
    async with started(tmp_path, "--sample", **names) as dev:
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


async def test_its_data_is_closed_to_other_users_even_if_it_was_open_before(tmp_path: Path, until: Until) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    old = [data / "logs" / name for name in ("api.log", "nats.old.log")]
    for path in old:
        path.write_text("")
        path.chmod(0o644)
    async with started(tmp_path) as dev:
        await dev.up(until)
        for folder in (data, data / "logs", data / "nats", data / "mongod"):
            assert folder.stat().st_mode & 0o777 == 0o700, folder
        files = [data / "lock", data / "running.json", *(data / "logs").iterdir()]
        assert {path.name for path in files} >= {"ingest.log", "api.log", "mongod.log", "nats.log", "nats.old.log"}
        for file in files:
            assert file.stat().st_mode & 0o777 == 0o600, file


def test_the_permissions_of_a_folder_with_other_files_stay_as_they_were(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("")
    tmp_path.chmod(0o755)
    private.folder(tmp_path, only={"lock"})
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_while_it_starts_ends_it_too(number: signal.Signals, tmp_path: Path, until: Until) -> None:
    async with started(tmp_path) as dev:
        await until((dev.data_dir / "logs" / "nats.log").exists)
        assert await dev.end(number) == 0
        assert _nobody_holds(dev.data_dir)


async def _grows(dev: Started, head: int) -> None:
    async with asyncio.timeout(60):
        while await dev.head() <= head:  # noqa: ASYNC110 (what is waited for happens in other processes)
            await asyncio.sleep(0.02)


async def _ready(dev: Started) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=dev.now.api) as client:
        while True:
            with suppress(httpx.TransportError):
                if (await client.get("/readyz")).is_success:
                    return
            await asyncio.sleep(0.02)


def _nobody_holds(data_dir: Path) -> bool:
    """Whether none of its processes lives: each of them holds the folder's lock."""
    with (data_dir / "lock").open() as lock, suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
