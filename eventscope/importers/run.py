"""Runs `eventscope import`: publishes the events of a file or a git repository to NATS, with a progress bar."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from eventscope.errors import BadInput
from eventscope.importers import export_check, files, git_history
from eventscope.importers.files import BadLine, Items, MessageLine
from eventscope.subscriptions.nats.access import NO_ACCESS, Access
from eventscope.subscriptions.publish.protocol import EventMessage
from eventscope.subscriptions.publish.publisher import Publisher
from eventscope.terminal import safe

GIT: Final = "git:"
CHUNK: Final = 200  # events

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import as far as NATS knows it; the ingester decides later what the log takes."""

    publications: int
    """Messages that JetStream acknowledged."""
    bad_lines: int
    """Lines that cannot be an event."""
    duplicates: int = 0
    """Published messages that JetStream already had, and dropped."""

    @property
    def summary(self) -> str:
        """The result in a sentence, with what to do next."""
        parts = [f"{self.publications:,} published"]
        if self.duplicates:
            parts.append(f"{self.duplicates:,} of them were already in the stream and were not stored again")
        if self.bad_lines:
            parts.append(f"{self.bad_lines:,} not published, see above")
        return (
            f"{'; '.join(parts)}. The ingester stores those that are new to the log;"
            " `eventscope rejected list` shows those that it rejects"
        )


@dataclass(frozen=True, slots=True)
class EventSource:
    """A file or repository of events: `total` lines or commits (`units`), and their events by line or commit number."""

    name: str
    units: str
    total: int
    items: Items
    note: str = ""
    """What the user should know before the import."""

    def item_name(self, number: int) -> str:
        """The name of the line or commit with that number, for messages."""
        return f"{Path(self.name).name}:{number}" if self.units == "lines" else f"{self.units[:-1]} {number}"


async def import_events(
    source: str,
    *,
    nats_url: str,
    stream: str,
    subjects: Sequence[str],
    console: Console,
    access: Access = NO_ACCESS,
    shallow: bool = False,
) -> ImportReport:
    """Publish all events of `git:PATH`, `FILE.jsonl` or `FILE.csv`; bad lines are printed, and the others published.

    BadInput when there is no such source, CannotStart when NATS cannot be reached. Importing a source again is safe.
    """
    event_source = await _in_thread(lambda: open_source(source, shallow=shallow))
    if event_source.note:
        console.print(safe(event_source.note), markup=False, highlight=False, soft_wrap=True)
    with closing(event_source.items):
        async with Publisher.connect(nats_url, stream, subjects, access=access) as publisher:
            with _progress(console) as progress:
                bad_lines = await _publish(event_source, publisher, progress)
    return ImportReport(publisher.acknowledgements, bad_lines, publisher.duplicates)


def open_source(source: str, *, shallow: bool = False) -> EventSource:
    """The source that the user names. BadInput when there is none, or it cannot be read."""
    if source.startswith(GIT):
        history = git_history.read(source.removeprefix(GIT), shallow=shallow)
        return EventSource(
            source, "commits", history.commits, _by_commit(history.events), _omission(history.omitted_commits)
        )
    if shallow:
        raise BadInput("--shallow is for repositories only: git:PATH", "source")
    match Path(source).suffix.lower():
        case ".jsonl" | ".ndjson":
            total, note = export_check.check(source)
            return EventSource(source, "lines", total, files.read_jsonl(source), note)
        case ".csv":
            return EventSource(source, "lines", files.count(source), files.read_csv(source))
    raise BadInput(f"{source} is not a source of events: give git:PATH, FILE.jsonl or FILE.csv", "source")


def _omission(commits: int) -> str:
    if not commits:
        return ""
    are = "1 commit is" if commits == 1 else f"{commits} commits are"
    return f"{are} omitted: this is a shallow clone, which does not hold what its oldest commits changed"


def _by_commit(events: Iterator[EventMessage]) -> Items:
    number = 0
    for event in events:
        number += event["type"] == git_history.COMMIT
        yield MessageLine(number, event)


async def _publish(source: EventSource, publisher: Publisher, progress: Progress) -> int:
    """Publish all valid events, print a line for each bad one, and return the number of bad ones."""
    task = progress.add_task(safe(source.name), total=source.total, units=source.units)
    bad_lines = 0
    # in a thread, so that the connection is served while git or the disk is slow
    while items := await _in_thread(lambda: list(islice(source.items, CHUNK))):
        for item in items:
            if (reason := await _problem(publisher, item)) is not None:
                bad_lines += 1
                progress.console.print(
                    safe(f"{source.item_name(item.number)}: {reason}"), markup=False, highlight=False, soft_wrap=True
                )
        progress.update(task, completed=items[-1].number)
    await publisher.flush()
    progress.update(task, completed=source.total)
    return bad_lines


async def _problem(publisher: Publisher, item: MessageLine | BadLine) -> str | None:
    if isinstance(item, BadLine):
        return item.reason
    try:
        await publisher.publish(item.message, exported=item.exported)
    except BadInput as error:
        return str(error)
    return None


async def _in_thread(work: Callable[[], T]) -> T:
    """Do the work in a thread. If cancelled, first wait until it is done: a thread cannot be stopped from outside."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _progress(console: Console) -> Progress:
    columns: list[str | ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn()]
    columns += [MofNCompleteColumn(), TextColumn("{task.fields[units]}"), _Rate(), TimeRemainingColumn()]
    return Progress(*columns, console=console)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")
