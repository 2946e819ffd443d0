"""Runs `eventscope export`: writes events to standard output, or to a file that appears only when it is complete.

The end of the log is read once, when the export begins; later events are not in it.
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
from eventscope.exporters.part_file import ExportProgress, open_part_file

Format = Literal["jsonl", "csv"]

STDOUT: Final = "-"
FORMATS: Final[Mapping[str, Format]] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
SAVE_EVERY: Final = 1000  # events


class Target(Protocol):
    """What an export is written to."""

    @property
    def sha256(self) -> str:
        """The digest of all bytes written, in hexadecimal."""
        ...

    def write(self, data: bytes) -> None:
        """Append these bytes."""
        ...

    def save(self, progress: ExportProgress) -> None:
        """Flush all bytes, and record the progress that they stand for."""
        ...

    def finish(self) -> None:
        """Flush all bytes of a complete export."""
        ...


class Stdout:
    """Standard output, where an export cannot be resumed."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest of all bytes written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append these bytes."""
        sys.stdout.buffer.write(data)
        self._digest.update(data)

    def save(self, progress: ExportProgress) -> None:
        """Flush all bytes; no progress is recorded."""
        self.finish()

    def finish(self) -> None:
        """Flush all bytes."""
        sys.stdout.buffer.flush()


def format_of(out: str, format: str | None) -> Format:
    """The named format, or the one that the file's name ends with. BadInput when there is no such format."""
    name = f".{format}" if format is not None else ".jsonl" if out == STDOUT else Path(out).suffix.lower()
    if name not in FORMATS:
        raise BadInput(
            f"{out} does not determine the format: name it FILE.jsonl or FILE.csv, or give --format jsonl or csv", "out"
        )
    return FORMATS[name]


async def export_events(
    api_url: str, out: str, format: Format, filters: FilterArgs, *, after: str | None = None, console: Console
) -> ExportProgress:
    """Export matching events to `out`, the path of a file or `-`, and return the final progress.

    If it ends early, even when killed, the same call resumes the file where it stopped. BadInput when the file exists,
    or was begun with other options.
    """
    async with EventsService.connect(api_url=api_url) as service:
        if out == STDOUT:
            return await _export(service, Stdout(), None, format, filters, after, console)
        options = {"format": format, "filter": graphql_filter(filters), "after": after}
        with open_part_file(Path(out), options) as file:
            return await _export(service, file, file.progress, format, filters, after, console)


async def _export(
    service: EventsService,
    target: Target,
    progress: ExportProgress | None,
    format: Format,
    filters: FilterArgs,
    after: str | None,
    console: Console,
) -> ExportProgress:
    if progress is None:
        newest = await service.get_event_history(limit=1)
        end, head = (newest[0].cursor, newest[0].position) if newest else (None, 0)
        progress = ExportProgress(end, head, after)
        if format == "csv":
            target.write(form.header_row())
        target.save(progress)
    write = form.row if format == "csv" else form.line
    columns = (
        TextColumn("exporting"),
        BarColumn(),
        TextColumn("{task.fields[count]:,} events, up to {task.completed:,.0f} of {task.total:,.0f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("", total=progress.head, completed=progress.position, count=progress.count)
        if progress.up_to is not None:
            events = service.replay_events(after=progress.cursor, up_to=progress.up_to, **filters)
            async with aclosing(events):
                async for event in events:
                    target.write(write(event))
                    progress = progress.after(event)
                    if progress.count % SAVE_EVERY == 0:
                        target.save(progress)
                        bars.update(bar, completed=progress.position, count=progress.count)
        bars.update(bar, completed=progress.head, count=progress.count)
    target.save(progress)
    if format == "jsonl":
        target.write(form.end_line(progress.up_to, progress.count, target.sha256))
    target.finish()
    return progress
