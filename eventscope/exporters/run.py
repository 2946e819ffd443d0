"""Exporting: events out of the log into a file, which is there only when it is whole, or to standard output.

The end of the log is looked for once, when the export begins: what happens later is not in it.
"""

import hashlib
import sys
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final, Literal, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from eventscope.client.filters import FilterArgs, graphql_filter
from eventscope.client.service import EventsService
from eventscope.errors import BadInput
from eventscope.exporters import form
from eventscope.exporters.part_file import Reached, begun

Format = Literal["jsonl", "csv"]

STDOUT: Final = "-"
FORMATS: Final[Mapping[str, Format]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
OFTEN: Final = 1000  # events, after which it is noted how far it is


class Target(Protocol):
    """Where an export goes."""

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        ...

    def write(self, data: bytes) -> None:
        """Write these bytes after all others."""
        ...

    def note(self, reached: Reached) -> None:
        """Make sure that what was written stays, and note how far that is."""
        ...

    def finish(self) -> None:
        """Make sure that all was written."""
        ...


class Stdout:
    """Standard output, which nobody can go on writing to."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write these bytes after all others."""
        sys.stdout.buffer.write(data)
        self._digest.update(data)

    def note(self, reached: Reached) -> None:
        """Hand on what was written."""
        self.finish()

    def finish(self) -> None:
        """Hand on all that was written."""
        sys.stdout.buffer.flush()


def format_of(out: str, given: str | None) -> Format:
    """The format, by its name or by that of the file. BadInput when it is none."""
    name = f".{given}" if given is not None else ".jsonl" if out == STDOUT else Path(out).suffix.lower()
    if name not in FORMATS:
        raise BadInput(
            f"{out} does not say its format: name it FILE.jsonl or FILE.csv, or give --format jsonl or csv", "out"
        )
    return FORMATS[name]


async def export_events(
    api_url: str, out: str, format: Format, wanted: FilterArgs, *, after: str | None = None, console: Console
) -> Reached:
    """Export the events that are wanted, and say how far that is.

    `out` is the path of a file, or `-`. BadInput when the file is there already, or was begun otherwise. When it ends
    early, be it killed, the same call goes on with the file where it was.
    """
    async with EventsService.connect(api_url=api_url) as service:
        if out == STDOUT:
            return await _export(service, Stdout(), None, format, wanted, after, console)
        asked = {"format": format, "filter": graphql_filter(wanted), "after": after}
        with begun(Path(out), asked) as file:
            return await _export(service, file, file.reached, format, wanted, after, console)


async def _export(
    service: EventsService,
    target: Target,
    reached: Reached | None,
    format: Format,
    wanted: FilterArgs,
    after: str | None,
    console: Console,
) -> Reached:
    if reached is None:
        newest = await service.get_event_history(limit=1)
        end, head = (newest[0].cursor, newest[0].position) if newest else (None, 0)
        reached = Reached(end, head, after)
        if format == "csv":
            target.write(form.header_row())
        target.note(reached)
    write = form.row if format == "csv" else form.line
    columns = (
        TextColumn("exporting"),
        BarColumn(),
        TextColumn("{task.fields[count]:,} events, up to {task.completed:,.0f} of {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=reached.head, completed=reached.position, count=reached.count)
        if reached.up_to is not None:
            events = service.replay_events(after=reached.cursor, up_to=reached.up_to, **wanted)
            async with aclosing(events):
                async for event in events:
                    target.write(write(event))
                    reached = reached.at(event)
                    if reached.count % OFTEN == 0:
                        target.note(reached)
                        progress.update(bar, completed=reached.position, count=reached.count)
        progress.update(bar, completed=reached.head, count=reached.count)
    target.note(reached)
    if format == "jsonl":
        target.write(form.end_line(reached.up_to, reached.count, target.sha256))
    target.finish()
    return reached
