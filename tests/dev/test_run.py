"""`eventscope dev`: all parts start together, restart when one dies, and leave nothing behind."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from eventscope.dev.data_folder import running_dev
from eventscope.processes import private
from eventscope.redact import redacted
from tests.dev.support.dev_processes import STORED, Until, dev_process, grows, nobody_holds, until_ready

pytestmark = pytest.mark.processes

PARTS = ["ingest", "api", "mongod", "nats"]


async def test_it_answers_once_it_is_ready_and_keeps_its_events_across_a_restart(
    tmp_path: Path, until: Until, alive: Callable[[int], bool]
) -> None:
    async with dev_process(tmp_path, "--sample") as dev:
        await dev.up(until)
        assert set(dev.now.pids) == {"dev", "sample", *PARTS}
        assert dev.now.pids["dev"] == dev.process.pid
        await grows(dev, 0)
        before = await dev.ask(STORED)
        assert f"{dev.now.api}/graphql" in dev.output.read_text()
        pids = dev.now.pids
        assert await dev.end(signal.SIGTERM) == 0
        assert not any(alive(pid) for pid in pids.values())
        assert not (dev.data_dir / "running.json").exists()
    # credentials for another NATS must not be used for an embedded one
    async with dev_process(tmp_path, EVENTSCOPE_NATS_CA_FILE="/nowhere", EVENTSCOPE_NATS_DOMAIN="hub") as dev:
        await dev.up(until)
        after = await dev.ask(STORED)
        assert after["events"] == before["events"]
        assert int(after["log"]["head"]) >= int(before["log"]["head"])
        assert await dev.end(signal.SIGHUP) == 0


async def test_the_query_that_it_prints_works_as_it_is_printed(tmp_path: Path, until: Until) -> None:
    async with dev_process(tmp_path, "--sample") as dev:
        await dev.up(until)
        await grows(dev, 0)
        await until(lambda: "Ctrl-C" in dev.output.read_text())
        line = next(line for line in dev.output.read_text().splitlines() if "curl" in line)
        shell = await asyncio.create_subprocess_shell(line[line.index("curl") :], stdout=asyncio.subprocess.PIPE)
        answer, _ = await shell.communicate()
        assert b'"aggregateId"' in answer, answer
        assert await dev.end(signal.SIGINT) == 0


async def test_when_it_is_killed_no_child_is_left_and_the_next_start_succeeds(
    tmp_path: Path, until: Until, alive: Callable[[int], bool]
) -> None:
    async with dev_process(tmp_path, "--sample") as dev:
        await dev.up(until)
        await grows(dev, 0)
        head, pids = await dev.head(), dev.now.pids
        await dev.end(signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in pids.values()))
        assert running_dev(dev.data_dir) is None
    async with dev_process(tmp_path) as dev:
        await dev.up(until)
        assert await dev.head() >= head


async def test_each_part_that_is_killed_is_restarted_and_the_rest_keeps_running(tmp_path: Path, until: Until) -> None:
    async with dev_process(tmp_path, "--sample", "--rate", "50") as dev:
        await dev.up(until)
        for part in [*PARTS, "sample"]:
            before = dev.now
            os.kill(before.pids[part], signal.SIGKILL)
            await until(lambda: dev.now.pids[part] != before.pids[part])  # noqa: B023 (awaited in its turn)
            after = dev.now
            assert (after.api, after.mongo, after.nats) == (before.api, before.mongo, before.nats)
            await until_ready(dev)
            await grows(dev, await dev.head())
        assert await dev.end(signal.SIGINT) == 0


async def test_a_second_one_on_another_folder_runs_beside_the_first_one(tmp_path: Path, until: Until) -> None:
    (tmp_path / "other").mkdir()
    async with dev_process(tmp_path) as first, dev_process(tmp_path / "other") as second:
        await first.up(until)
        await second.up(until)
        assert first.now.api != second.now.api
        assert first.now.mongo != second.now.mongo
        assert first.now.nats != second.now.nats


async def test_servers_from_the_settings_are_used_and_none_is_started(
    tmp_path: Path, until: Until, mongo_url: str, nats_url: str, database_name: str, stream_name: str
) -> None:
    given = {"MONGO_URL": mongo_url, "NATS_URL": nats_url, "MONGO_DATABASE": database_name, "STREAM": stream_name}
    given["SUBJECTS"] = f"{stream_name.lower()}.>"
    async with dev_process(tmp_path, **{f"EVENTSCOPE_{name}": value for name, value in given.items()}) as dev:
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


async def test_its_data_is_closed_to_other_users_even_if_it_was_open_before(tmp_path: Path, until: Until) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    old = [data / "logs" / name for name in ("api.log", "nats.old.log")]
    for path in old:
        path.write_text("")
        path.chmod(0o644)
    async with dev_process(tmp_path) as dev:
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
    async with dev_process(tmp_path) as dev:
        await until((dev.data_dir / "logs" / "nats.log").exists)
        assert await dev.end(number) == 0
        assert nobody_holds(dev.data_dir)
