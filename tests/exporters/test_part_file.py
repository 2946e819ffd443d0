"""The file of an export is complete or missing: an interrupted export resumes where it was."""

import asyncio
import resource
from pathlib import Path

import orjson
import pytest
from nats.aio.client import Client
from rich.console import Console

from eventscope.errors import BadInput
from eventscope.exporters.part_file import ExportProgress, open_part_file
from eventscope.importers.files import BadLine, read_jsonl
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.exporters.support.exports import ENVIRONMENT, MESSAGES, command, export, has, lines, names, publish
from tests.support.api_server import RunningApi
from tests.support.sample_log import fill
from tests.support.until import until

FOR_EVER = {"*": 0.0}


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv"])
async def test_a_killed_export_resumes_where_it_was_with_the_end_that_it_had(
    still_api: RunningApi, log: Log, tmp_path: Path, screen: Console, name: str
) -> None:
    messages = [orjson.dumps({"type": "tick", "messageId": f"m{n}", "data": {"n": n}}) for n in range(6000)]
    await fill(log, messages[:5990], FOR_EVER)
    out, state = tmp_path / name, tmp_path / f"{name}.part.json"
    process = await asyncio.create_subprocess_exec(
        *command(still_api, str(out)), env=ENVIRONMENT, stderr=asyncio.subprocess.DEVNULL
    )
    await until(lambda: state.exists() and orjson.loads(state.read_bytes())["reached"]["count"] >= 1000)
    process.kill()
    await process.wait()
    assert not out.exists()
    with (tmp_path / f"{name}.part").open("ab") as file:
        file.write(b'{"messageId":"half of a li')
    await fill(log, messages[5990:], FOR_EVER)

    assert await export(still_api, out, screen) == 5990

    assert names(tmp_path) == [name]
    assert await export(still_api, tmp_path / f"whole.{name}", screen) == 6000
    killed, whole = out.read_bytes().splitlines(), (tmp_path / f"whole.{name}").read_bytes().splitlines()
    rows = 5991 if name.endswith("csv") else 5990
    assert killed[:rows] == whole[:rows]
    if name.endswith("jsonl"):
        assert [one for one in read_jsonl(str(out)) if isinstance(one, BadLine)] == []


async def test_an_export_that_ran_out_of_disk_space_resumes_once_there_is_some(
    still_api: RunningApi, log: Log, tmp_path: Path, screen: Console
) -> None:
    await fill(log, [orjson.dumps({"type": "tick", "data": {"n": n}}) for n in range(3000)], FOR_EVER)
    out = tmp_path / "events.jsonl"
    process = await asyncio.create_subprocess_exec(
        *command(still_api, str(out)),
        env=ENVIRONMENT,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"Traceback" not in said
    assert b"events.jsonl.part cannot be written (File too large)" in said
    assert b"repeat the command to resume" in said
    assert not out.exists()

    assert await export(still_api, out, screen) == 3000
    assert [item for item in read_jsonl(str(out)) if isinstance(item, BadLine)] == []
    assert [line["position"] for line in lines(out)[:-1]] == list(range(1, 3001))


async def test_an_existing_file_or_one_begun_otherwise_is_not_overwritten(
    api: RunningApi, settings: Settings, client: Client, tmp_path: Path, screen: Console
) -> None:
    await publish(client, settings, MESSAGES)
    await until(lambda: has(api, 4))
    out = tmp_path / "events.jsonl"
    other = open_part_file(out, {"format": "jsonl", "filter": {}, "after": None})
    with other, pytest.raises(BadInput, match="is being written by another export"):
        await export(api, out, screen)
    (tmp_path / "events.jsonl.part").write_bytes(b"somebody's")
    with pytest.raises(BadInput, match="exists without a record of its progress"):
        await export(api, out, screen)
    assert (tmp_path / "events.jsonl.part").read_bytes() == b"somebody's"
    (tmp_path / "events.jsonl.part").unlink()
    assert await export(api, out, screen) == 4
    with pytest.raises(BadInput, match="already exists"):
        await export(api, out, screen)
    with pytest.raises(BadInput, match=r"cannot be written \(No such file or directory\)"):
        await export(api, tmp_path / "none" / "events.jsonl", screen)


async def test_an_export_is_not_resumed_with_other_options(api: RunningApi, tmp_path: Path, screen: Console) -> None:
    out = tmp_path / "events.jsonl"
    with pytest.raises(RuntimeError), open_part_file(out, {"format": "jsonl", "filter": {}, "after": None}) as file:
        file.write(b"x\n")
        file.save(ExportProgress("e1", 1, None))
        raise RuntimeError
    with pytest.raises(BadInput, match="was begun with other options"):
        await export(api, out, screen, ["a"])
    assert (tmp_path / "events.jsonl.part").read_bytes() == b"x\n"
