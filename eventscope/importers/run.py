"""Importing: events out of a git repository or a file go the way of all events, through NATS, with a progress bar."""

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
from eventscope.importers.files import BadLine, Items, Line
from eventscope.subscriptions.nats.access import NO_ACCESS, Access
from eventscope.subscriptions.publish.protocol import EventMessage
from eventscope.subscriptions.publish.publisher import Publisher
from eventscope.terminal import safe

GIT: Final = "git:"
AT_ONCE: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an import, as far as NATS tells: what the log takes is for the ingester to say."""

    published: int
    """Acknowledged by JetStream."""
    failed: int
    """Cannot be an event."""
    repeated: int = 0
    """Of those that are published: JetStream had them already, and dropped them."""

    @property
    def told(self) -> str:
        """In words, with what to do next."""
        parts = [f"{self.published:,} published"]
        if self.repeated:
            parts.append(f"{self.repeated:,} of them JetStream had a moment ago already, and dropped")
        if self.failed:
            parts.append(f"{self.failed:,} could not be, as said above")
        return (
            f"{'; '.join(parts)}. The ingester stores each that is new to the log;"
            " `eventscope rejected list` shows those that it refuses"
        )


@dataclass(frozen=True, slots=True)
class Source:
    """Where events come from: how many `units` (lines, commits) there are, and what is in them, by their number."""

    name: str
    units: str
    total: int
    items: Items
    note: str = ""
    """What people should know of it."""

    def place(self, number: int) -> str:
        """Where that unit is, in words."""
        return f"{Path(self.name).name}:{number}" if self.units == "lines" else f"{self.units[:-1]} {number}"


async def run(
    source: str,
    *,
    nats_url: str,
    stream: str,
    subjects: Sequence[str],
    console: Console,
    access: Access = NO_ACCESS,
    shallow: bool = False,
) -> Report:
    """Publish all events of `git:PATH`, `FILE.jsonl` or `FILE.csv`; bad lines are printed and the good ones go in.

    BadInput when the source is none, CannotStart when NATS is not there. Importing anew what went in already is safe.
    """
    opened = await _apart(lambda: open_source(source, shallow=shallow))
    if opened.note:
        console.print(safe(opened.note), markup=False, highlight=False, soft_wrap=True)
    with closing(opened.items):
        async with Publisher.connect(nats_url, stream, subjects, access=access) as publisher:
            with _progress(console) as progress:
                failed = await _publish(opened, publisher, progress)
    return Report(publisher.acknowledged, failed, publisher.duplicates)


def open_source(source: str, *, shallow: bool = False) -> Source:
    """What the user means by the name of a source. BadInput when there is no such thing."""
    if source.startswith(GIT):
        history = git_history.read(source.removeprefix(GIT), shallow=shallow)
        return Source(source, "commits", history.commits, _by_commit(history.events), _left_out(history.left_out))
    if shallow:
        raise BadInput("--shallow is for repositories: git:PATH", "source")
    match Path(source).suffix.lower():
        case ".jsonl" | ".ndjson":
            total, note = export_check.check(source)
            return Source(source, "lines", total, files.read_jsonl(source), note)
        case ".csv":
            return Source(source, "lines", files.count(source), files.read_csv(source))
    raise BadInput(f"{source} is no source of events: give git:PATH, FILE.jsonl or FILE.csv", "source")


def _left_out(commits: int) -> str:
    if not commits:
        return ""
    are = "1 commit is" if commits == 1 else f"{commits} commits are"
    return f"{are} left out: this is a shallow clone, and what changed by its oldest commits is not in it"


def _by_commit(events: Iterator[EventMessage]) -> Items:
    number = 0
    for event in events:
        number += event["type"] == git_history.COMMIT
        yield Line(number, event)


async def _publish(source: Source, publisher: Publisher, progress: Progress) -> int:
    """Publish all that can be, print what cannot, and return how much that was."""
    task = progress.add_task(safe(source.name), total=source.total, units=source.units)
    failed = 0
    # git and the disk are waited for elsewhere, while the connection goes on
    while items := await _apart(lambda: list(islice(source.items, AT_ONCE))):
        for item in items:
            if (reason := await _problem(publisher, item)) is not None:
                failed += 1
                progress.console.print(
                    safe(f"{source.place(item.number)}: {reason}"), markup=False, highlight=False, soft_wrap=True
                )
        progress.update(task, completed=items[-1].number)
    await publisher.flush()
    progress.update(task, completed=source.total)
    return failed


async def _problem(publisher: Publisher, item: Line | BadLine) -> str | None:
    if isinstance(item, BadLine):
        return item.reason
    try:
        await publisher.publish(item.message, exported=item.exported)
    except BadInput as error:
        return str(error)
    return None


async def _apart(work: Callable[[], T]) -> T:
    """Do the work in a thread. When cancelled wait until it is done: nobody else could stop what it has begun."""
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
