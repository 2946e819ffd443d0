"""Exporting from a real log: to files and standard output, and so that an import of them is faithful."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from rich.console import Console

from eventscope.background import end
from eventscope.client.service import EventsService
from eventscope.errors import BadInput
from eventscope.exporters.run import format_of
from eventscope.importers.run import import_events
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.rejected import messages as rejected
from tests.exporters.support.exports import ENVIRONMENT, MESSAGES, STATE, command, export, has, lines, names, publish
from tests.support.api_server import RunningApi, running_api
from tests.support.until import until


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
    assert (report.publications, report.bad_lines) == (4, 0)
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
    assert (await import_events(str(file), **given, console=screen)).bad_lines == 0
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
