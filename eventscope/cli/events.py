"""The commands `eventscope tail` and `eventscope export`: their options."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eventscope.cli.command import load_settings, run_to_end, run_until_signal
from eventscope.dev.data_folder import DATA_DIR, running_dev
from eventscope.errors import BadInput
from eventscope.redact import redacted
from eventscope.settings import Settings
from eventscope.terminal import say

if TYPE_CHECKING:
    from eventscope.client.filters import FilterArgs

# Each command imports what it runs when it runs, as in main.

Type = Annotated[
    list[str] | None,
    typer.Option(metavar="TYPE", help="Event type, like user.created or user.*; may be repeated."),
]
Aggregate = Annotated[
    str | None, typer.Option(metavar="TYPE[/ID]", help="Aggregate type or aggregate, like user or user/42.")
]
User = Annotated[str | None, typer.Option(metavar="ID", help="The user who caused the events.")]
Correlation = Annotated[str | None, typer.Option(metavar="ID", help="The correlation id of the events.")]
Api = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of the API, like http://HOST:8000, unless it is on this machine."),
]
DataDir = Annotated[
    Path,
    typer.Option(
        metavar="FOLDER",
        help="Folder of an `eventscope dev`: if it is running, its API is used, unless --api names one.",
    ),
]


def tail(
    type: Type = None,
    aggregate: Aggregate = None,
    user: User = None,
    correlation: Correlation = None,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, metavar="NUMBER", help="Number of past events to show first.")
    ] = 10,
    after: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", help="Show the events after this cursor first, instead of the newest."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, with its cursor.")] = False,
    api: Api = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show the newest events, then follow new ones, even while servers restart."""
    from eventscope.cli.tail import TailOptions, show_log

    options = TailOptions(_filter_args(type, aggregate, user, correlation), last, after, as_json)
    run_until_signal(show_log(_address(api, "following", data_dir), options))


def export(
    out: Annotated[str, typer.Argument(metavar="FILE", help="FILE.jsonl, FILE.csv, or - for standard output.")],
    type: Type = None,
    aggregate: Aggregate = None,
    user: User = None,
    correlation: Correlation = None,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Export only events after this cursor.")] = None,
    format: Annotated[
        Literal["jsonl", "csv"] | None,
        typer.Option(metavar="jsonl|csv", help="Format, if the file name does not determine it."),
    ] = None,
    api: Api = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Write the events that the log has now to a file for `import`. Repeat the command to resume if interrupted."""
    from rich.console import Console

    from eventscope.exporters import run

    format = run.format_of(out, format)
    filter_args = _filter_args(type, aggregate, user, correlation)
    address = _address(api, "exporting from", data_dir)
    console = Console(stderr=True)
    try:
        result = run_to_end(run.export_events(address, out, format, filter_args, after=after, console=console))
    except BrokenPipeError:  # the reader has gone; Python would complain when it flushes the rest
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    finally:
        if Path(f"{out}.part.json").exists():
            say(f"{out}.part holds what has been exported so far; repeat the command to resume", sys.stderr)
    events = "1 event" if result.count == 1 else f"{result.count} events"
    say(f"{events}, up to the cursor {result.up_to}" if result.up_to else "the log is empty", sys.stderr)


def _filter_args(
    type: list[str] | None, aggregate: str | None, user: str | None, correlation: str | None
) -> "FilterArgs":
    kind, slash, id = (aggregate or "").partition("/")
    options = [("--type", one) for one in type or []]
    for option, value in (*options, ("--aggregate", aggregate), ("--user", user), ("--correlation", correlation)):
        # for example an unset shell variable: it would match nothing, or everything
        if value == "":
            raise BadInput(f"{option} is empty: give it a value, or leave it out", option.removeprefix("--"))
    if aggregate and not (kind and (id or not slash)):
        raise BadInput(f"--aggregate is {aggregate!r:.60}, not TYPE or TYPE/ID, like user or user/42", "aggregate")
    return {
        "event_types": type or None,
        "aggregate_type": kind or None,
        "aggregate_id": id if slash else None,
        "user_id": user,
        "correlation_id": correlation,
    }


def _address(api: str | None, action: str, data_dir: Path) -> str:
    """The address of the API; one that was not given is reported to the user."""
    settings, dev = load_settings(), running_dev(data_dir)
    if api is not None:
        return api
    if dev is not None:
        say(f"{action} {redacted(dev.api)}", sys.stderr)
        return dev.api
    address = _address_in(settings)
    say(
        f"{action} {redacted(address)}; no `eventscope dev` is running on {data_dir}: if there is no API at this"
        " address, start `eventscope dev`, or give --api or --data-dir",
        sys.stderr,
    )
    return address


def _address_in(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
