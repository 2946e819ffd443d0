"""Exporting from a real log: a file is complete or missing, an interrupted export resumes, and imports are faithful."""

import asyncio
import io
import os
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from rich.console import Console

from eventscope.background import end
from eventscope.client.filters import FilterArgs
from eventscope.client.service import EventsService
from eventscope.errors import BadInput
from eventscope.exporters.part_file import ExportProgress, open_part_file
from eventscope.exporters.run import export_events, format_of
from eventscope.importers.files import BadLine, read_jsonl
from eventscope.importers.run import import_events
from eventscope.server.ingester import ingest
from eventscope.settings import PREFIX, Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import fill
from tests.support.until import until

FOR_EVER = {"*": 0.0}
STATE = "query { stats { totalEvents } rejectedEvents { nodes { code } } }"
MESSAGES: list[dict[str, Any]] = [
    {"type": "user.created", "aggregateType": "user", "aggregateId": "1", "version": 7, "userId": "ada"},
    {"type": "user.updated", "aggregateType": "user", "aggregateId": "1", "data": {"n": [2**63 - 1, 1.0, 5e-324]}},
    {"type": "order.placed", "aggregateType": "order", "aggregateId": "1", "correlationId": "c", "causationId": "x"},
    {"type": "order.paid", "metadata": {"why": "=1+1"}, "region": "eu", "position": 9},
]


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


@pytest.fixture
async def still(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over a log that nobody ingests into."""
    async with running_api(settings) as api:
        yield api


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), width=200)


async def publish(client: Client, settings: Settings, messages: list[dict[str, Any]], **headers: str) -> None:
    for message in messages:
        subject = settings.subjects[0].replace(">", message["type"])
        await client.jetstream().publish(subject, orjson.dumps(message), headers=headers or None)


async def has(api: RunningApi, count: int) -> bool:
    return bool((await api.ask(STATE))["stats"]["totalEvents"] == count)


async def export(api: RunningApi, out: Path, screen: Console, types: list[str] | None = None) -> int:
    filter_args, format = FilterArgs(event_types=types), format_of(str(out), None)
    return (await export_events(str(api.http.base_url), str(out), format, filter_args, console=screen)).count


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()]


async def contents(url: str) -> list[dict[str, Any]]:
    async with EventsService.connect(api_url=url) as service:
        found = [event async for event in service.replay_events()]
    own = ("id", "position", "type", "timestamp", "aggregate_type", "aggregate_id", "version", "claimed_version")
    more = ("user_id", "correlation_id", "causation_id", "data", "metadata", "extensions")
    return [{name: getattr(event, name) for name in (*own, *more)} for event in found]


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv"])
async def test_an_import_makes_an_empty_log_the_same_and_leaves_the_original_unchanged(
    api: RunningApi, settings: Settings, client: Client, tmp_path: Path, screen: Console, database_name: str, name: str
) -> None:
    await publish(client, settings, MESSAGES, traceparent="00-1")
    await until(lambda: has(api, 4))
    assert await export(api, tmp_path / name, screen) == 4
    before = await contents(str(api.http.base_url))
    back: Any = {"subjects": settings.subjects, "console": screen, "nats_url": settings.nats_url}

    report = await import_events(str(tmp_path / name), stream=settings.stream, **back)
    assert (report.published, report.failed) == (4, 0)
    await publish(client, settings, [{"type": "the.end"}])
    await until(lambda: has(api, 5))  # after all previous output
    assert (await contents(str(api.http.base_url)))[:4] == before
    assert (await api.ask(STATE))["rejectedEvents"]["nodes"] == []

    there = settings.model_copy(
        update={"mongo_database": f"{database_name}_b", "stream": f"{settings.stream}B", "subjects": ("b.>",)}
    )
    task = asyncio.create_task(ingest(there))
    try:
        async with running_api(there) as other:
            await import_events(str(tmp_path / name), stream=there.stream, **back | {"subjects": there.subjects})
            await until(lambda: has(other, 4))
            assert await contents(str(other.http.base_url)) == before
            await other.services.log.mongo.client.drop_database(there.mongo_database)
    finally:
        await end(task)
        await client.jetstream().delete_stream(there.stream)


async def test_only_matching_events_are_exported_and_the_end_is_reported(
    api: RunningApi, settings: Settings, client: Client, tmp_path: Path, screen: Console
) -> None:
    await publish(client, settings, MESSAGES)
    await until(lambda: has(api, 4))
    file = tmp_path / "users.jsonl"
    assert await export(api, file, screen, ["user.*"]) == 2
    *events, end = lines(file)
    assert [event["position"] for event in events] == [1, 2]
    assert (end["end"]["cursor"].partition(".")[0], end["end"]["count"]) == ("e4", 2)
    assert names(tmp_path) == ["users.jsonl"]


async def test_the_export_of_an_empty_log_is_a_complete_file(api: RunningApi, tmp_path: Path, screen: Console) -> None:
    assert await export(api, tmp_path / "a.jsonl", screen) == 0
    assert lines(tmp_path / "a.jsonl")[0]["end"]["count"] == 0
    assert await export(api, tmp_path / "a.csv", screen) == 0
    assert (tmp_path / "a.csv").read_text().startswith("messageId,")


def command(api: RunningApi, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "eventscope", "export", "--api", str(api.http.base_url), *arguments]


ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@pytest.mark.parametrize("name", ["events.jsonl", "events.csv"])
async def test_a_killed_export_resumes_where_it_was_with_the_end_that_it_had(
    still: RunningApi, log: Log, tmp_path: Path, screen: Console, name: str
) -> None:
    messages = [orjson.dumps({"type": "tick", "messageId": f"m{n}", "data": {"n": n}}) for n in range(6000)]
    await fill(log, messages[:5990], FOR_EVER)
    out, state = tmp_path / name, tmp_path / f"{name}.part.json"
    process = await asyncio.create_subprocess_exec(
        *command(still, str(out)), env=ENVIRONMENT, stderr=asyncio.subprocess.DEVNULL
    )
    await until(lambda: state.exists() and orjson.loads(state.read_bytes())["reached"]["count"] >= 1000)
    process.kill()
    await process.wait()
    assert not out.exists()
    with (tmp_path / f"{name}.part").open("ab") as file:
        file.write(b'{"messageId":"half of a li')
    await fill(log, messages[5990:], FOR_EVER)

    assert await export(still, out, screen) == 5990

    assert names(tmp_path) == [name]
    assert await export(still, tmp_path / f"whole.{name}", screen) == 6000
    killed, whole = out.read_bytes().splitlines(), (tmp_path / f"whole.{name}").read_bytes().splitlines()
    rows = 5991 if name.endswith("csv") else 5990
    assert killed[:rows] == whole[:rows]
    if name.endswith("jsonl"):
        assert [one for one in read_jsonl(str(out)) if isinstance(one, BadLine)] == []


async def test_an_export_that_ran_out_of_disk_space_resumes_once_there_is_some(
    still: RunningApi, log: Log, tmp_path: Path, screen: Console
) -> None:
    await fill(log, [orjson.dumps({"type": "tick", "data": {"n": n}}) for n in range(3000)], FOR_EVER)
    out = tmp_path / "events.jsonl"
    process = await asyncio.create_subprocess_exec(
        *command(still, str(out)),
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

    assert await export(still, out, screen) == 3000
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


async def test_an_export_to_standard_output_contains_only_events_and_may_be_cut_short(
    api: RunningApi, settings: Settings, client: Client, log: Log
) -> None:
    await publish(client, settings, MESSAGES)
    await until(lambda: has(api, 4))

    async def said(*arguments: str) -> tuple[bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *command(api, "-", *arguments),
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        assert process.returncode == 0, error
        return out, error

    out, error = await said("--user", "ada")
    first, end = map(orjson.loads, out.splitlines())
    assert (first["userId"], end["end"]["count"]) == ("ada", 1)
    assert b"1 event, up to the cursor e4" in error
    out, _ = await said("--format", "csv", "--after", "e3")
    assert len(out.splitlines()) == 2

    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *command(api, "-"), env=ENVIRONMENT, stdout=writing, stderr=asyncio.subprocess.PIPE
    )
    os.close(writing)
    _, error = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in error


async def test_lines_of_tail_are_imported_like_those_of_an_export(
    api: RunningApi, settings: Settings, client: Client, log: Log, tmp_path: Path, screen: Console
) -> None:
    await publish(client, settings, MESSAGES)
    await until(lambda: has(api, 4))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventscope", "tail", "--json", "--api", str(api.http.base_url)),
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    file = tmp_path / "tail.jsonl"
    file.write_bytes(b"".join([await process.stdout.readline() for _ in MESSAGES]))
    process.terminate()
    await process.communicate()
    assert await export(api, tmp_path / "export.jsonl", screen) == 4
    assert lines(file) == lines(tmp_path / "export.jsonl")[:-1]
    given: Any = {"nats_url": settings.nats_url, "stream": settings.stream, "subjects": settings.subjects}
    assert (await import_events(str(file), **given, console=screen)).failed == 0
    await publish(client, settings, [{"type": "the.end"}])
    await until(lambda: has(api, 5))
    assert await rejected.rejections(log, limit=1) == []


@pytest.mark.parametrize(
    ("out", "given", "format"),
    [
        ("a.jsonl", None, "jsonl"),
        ("a.NDJSON", None, "jsonl"),
        ("a.csv", None, "csv"),
        ("-", None, "jsonl"),
        ("a.txt", "csv", "csv"),
        ("-", "csv", "csv"),
    ],
)
def test_the_format_follows_from_the_file_name_or_the_option(out: str, given: str | None, format: str) -> None:
    assert format_of(out, given) == format


def test_a_file_name_without_a_known_format_is_refused() -> None:
    with pytest.raises(BadInput, match=r"name it FILE.jsonl or FILE.csv, or give --format"):
        format_of("events.txt", None)
