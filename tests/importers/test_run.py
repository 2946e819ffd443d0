"""Importing into a real JetStream."""

import asyncio
import io
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console

from eventscope.errors import BadInput, CannotStart
from eventscope.importers.run import ImportReport, import_events
from eventscope.processes.ports import free
from eventscope.subscriptions.nats.stream import connect

Import = Callable[[str], Awaitable[ImportReport]]


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), width=300, force_terminal=False)


@pytest.fixture
def bring(nats_url: str, stream_name: str, subject_prefix: str, screen: Console) -> Import:
    async def bring(source: str) -> ImportReport:
        return await import_events(
            source, nats_url=nats_url, stream=stream_name, subjects=[f"{subject_prefix}.>"], console=screen
        )

    return bring


@pytest.fixture
async def js(nats_url: str) -> AsyncIterator[JetStreamContext]:
    async with await connect(nats_url, "test") as client:
        yield client.jetstream()


async def stored(js: JetStreamContext, stream: str) -> list[dict[str, Any]]:
    state = (await js.stream_info(stream)).state
    kept = [await js.get_msg(stream, sequence) for sequence in range(1, state.last_seq + 1)]
    return [orjson.loads(message.data or b"") for message in kept]


def said(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


async def test_all_lines_of_a_file_are_imported_in_order(
    bring: Import, js: JetStreamContext, stream_name: str, tmp_path: Path, screen: Console
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(f'{{"type": "tick", "data": {{"n": {n}}}}}\n' for n in range(1000)))

    assert await bring(str(file)) == ImportReport(publications=1000, bad_lines=0)

    assert [message["data"]["n"] for message in await stored(js, stream_name)] == list(range(1000))
    assert "1000/1000 lines" in said(screen)


async def test_bad_lines_are_printed_and_counted_and_good_ones_are_imported(
    bring: Import, js: JetStreamContext, stream_name: str, tmp_path: Path, screen: Console
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("type,data.n\ntick,1\n[b]two words[/b],2\ntick,3\ntick\n")

    assert await bring(str(file)) == ImportReport(publications=2, bad_lines=2)

    assert [message["data"]["n"] for message in await stored(js, stream_name)] == [1, 3]
    assert "events.csv:3: the type '[b]two words[/b]' is not words joined by dots" in said(screen)
    assert "events.csv:5: the row has 1 cells, and the header 2" in said(screen)


def test_the_report_says_what_is_known_and_where_to_find_the_rest() -> None:
    summary = ImportReport(publications=1200, bad_lines=1, duplicates=30).summary
    assert summary.startswith(
        "1,200 published; 30 of them were already in the stream and were not stored again; 1 not pub"
    )
    assert "`eventscope rejected list`" in summary
    assert ImportReport(publications=5, bad_lines=0).summary.startswith("5 published. ")


async def test_a_line_that_the_stream_cannot_accept_is_a_bad_line(
    bring: Import, js: JetStreamContext, stream_name: str, subject_prefix: str, tmp_path: Path, screen: Console
) -> None:
    await js.add_stream(name=stream_name, subjects=[f"{subject_prefix}.>"], max_msg_size=300)
    file = tmp_path / "events.jsonl"
    file.write_text('{"type": "tick"}\n{"type": "tick", "data": "' + "x" * 300 + '"}\n')

    assert await bring(str(file)) == ImportReport(publications=1, bad_lines=1)

    assert "events.jsonl:2: the message" in said(screen)
    assert "at most 300 are allowed" in said(screen)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "a").write_text("one\n")
    commands = "init --quiet -b main|add .|-c user.name=A -c user.email=a@example.com commit --quiet -m Begin"
    for command in commands.split("|"):
        subprocess.run(["git", *command.split(" ")], cwd=tmp_path, check=True)
    return tmp_path


async def test_importing_a_repository_a_second_time_adds_nothing(
    bring: Import, js: JetStreamContext, stream_name: str, repository: Path, screen: Console
) -> None:
    assert await bring(f"git:{repository}") == ImportReport(publications=2, bad_lines=0)
    assert await bring(f"git:{repository}") == ImportReport(publications=2, bad_lines=0, duplicates=2)

    assert [message["type"] for message in await stored(js, stream_name)] == ["commit.recorded", "file.created"]
    assert "1/1 commits" in said(screen)


async def test_the_import_of_a_shallow_clone_reports_what_is_left_out(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, nats_url: str, stream_name: str, screen: Console
) -> None:
    folder = tmp_path_factory.mktemp("clone")
    clone = ["git", "clone", "--quiet", "--depth=1", f"file://{repository}", str(folder)]
    for command in (
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qam", "On", "--allow-empty"],
        clone,
    ):
        await asyncio.to_thread(subprocess.run, command, cwd=repository, check=True)
    given: Any = {"nats_url": nats_url, "stream": stream_name, "subjects": [f"{stream_name}.>"], "console": screen}

    assert await import_events(f"git:{folder}", **given, shallow=True) == ImportReport(publications=0, bad_lines=0)

    assert "1 commit is omitted: this is a shallow clone" in said(screen)
    with pytest.raises(BadInput, match="--shallow is for repositories only"):
        await import_events("events.jsonl", **given, shallow=True)


async def test_an_import_that_is_stopped_leaves_nothing_behind(
    bring: Import, js: JetStreamContext, stream_name: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"type": "tick"}\n' * 30_000)
    task = asyncio.ensure_future(bring(str(file)))
    async with asyncio.timeout(60):
        while not await _messages(js, stream_name):
            pass

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await _messages(js, stream_name) < 30_000
    report = await bring(str(file))
    assert (report.publications, report.bad_lines) == (30_000, 0)
    assert 0 < report.duplicates < 30_000
    assert await _messages(js, stream_name) == 30_000


async def _messages(js: JetStreamContext, stream: str) -> int:
    try:
        return (await js.stream_info(stream)).state.messages
    except NotFoundError:
        return 0


@pytest.mark.parametrize("source", ["events.txt", "events", "", "svn:.", "http://example.com/events"])
async def test_what_is_not_a_source_is_refused(bring: Import, source: str) -> None:
    with pytest.raises(BadInput, match=r"is not a source of events: give git:PATH, FILE\.jsonl or FILE\.csv"):
        await bring(source)


async def test_a_missing_source_is_refused(bring: Import, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        await bring(str(tmp_path / "missing.csv"))
    with pytest.raises(BadInput, match="is not a git repository"):
        await bring(f"git:{tmp_path}")


async def test_without_nats_the_import_does_not_start(tmp_path: Path, screen: Console) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"type": "tick"}\n')

    with pytest.raises(CannotStart, match="NATS cannot be reached"):
        url = f"nats://127.0.0.1:{free()}"
        await import_events(str(file), nats_url=url, stream="EVENTS", subjects=["events.>"], console=screen)
