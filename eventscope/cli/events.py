"""The commands `eventscope tail` and `export`: what can be asked for on the command line."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eventscope.cli.command import chosen_settings, to_its_end, until_asked_to_end
from eventscope.dev.data_folder import DATA_DIR, DATA_DIR_HELP, running
from eventscope.errors import BadInput
from eventscope.redact import redacted
from eventscope.settings import Settings
from eventscope.terminal import say

if TYPE_CHECKING:
    from eventscope.client.filters import FilterArgs

# As in __main__, each command imports what it runs when it runs.

Type = Annotated[list[str] | None, typer.Option(help="user.created or user.*; may be given again.")]
Aggregate = Annotated[str | None, typer.Option(metavar="TYPE[/ID]", help="user, or user/42.")]
User = Annotated[str | None, typer.Option(metavar="ID", help="Who did it.")]
Correlation = Annotated[str | None, typer.Option(metavar="ID", help="What they belong to.")]
Api = Annotated[
    str | None, typer.Option(metavar="URL", help="Of the API, where it is not on this machine: http://HOST:8000.")
]
DataDir = Annotated[Path, typer.Option(help=DATA_DIR_HELP)]


def tail(
    type: Type = None,
    aggregate: Aggregate = None,
    user: User = None,
    correlation: Correlation = None,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="So many that have happened come first.")] = 10,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Those behind this one come first.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, with the cursor.")] = False,
    api: Api = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show the newest events and follow those that happen, whatever is restarted meanwhile."""
    from eventscope.cli.tail import Tailing
    from eventscope.cli.tail import tail as follow

    wanted = _wanted(type, aggregate, user, correlation)
    address = _address(api, "following", data_dir)
    until_asked_to_end(follow(address, Tailing(wanted, last, after, as_json)))


def export(
    out: Annotated[str, typer.Argument(metavar="FILE", help="FILE.jsonl, FILE.csv, or - for standard output.")],
    type: Type = None,
    aggregate: Aggregate = None,
    user: User = None,
    correlation: Correlation = None,
    after: Annotated[str | None, typer.Option(metavar="CURSOR", help="Only those behind this one.")] = None,
    format: Annotated[
        Literal["jsonl", "csv"] | None, typer.Option(help="Where the name of the file does not say it.")
    ] = None,
    api: Api = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Write events into a file that `import` takes, as the log is now. Give the same command again to go on with it."""
    from rich.console import Console

    from eventscope.exporters import run

    chosen = run.format_of(out, format)
    wanted = _wanted(type, aggregate, user, correlation)
    address = _address(api, "exporting from", data_dir)
    console = Console(stderr=True)
    try:
        done = to_its_end(run.run(address, out, chosen, wanted, after=after, console=console))
    except BrokenPipeError:  # nobody reads on; Python would complain when it flushes what is left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    finally:
        if Path(f"{out}.part.json").exists():
            say(f"{out}.part has what is there so far; the same command goes on with it", sys.stderr)
    events = "1 event" if done.count == 1 else f"{done.count} events"
    say(f"{events}, up to the cursor {done.up_to}" if done.up_to else "the log is empty", sys.stderr)


def _wanted(type: list[str] | None, aggregate: str | None, user: str | None, correlation: str | None) -> "FilterArgs":
    from eventscope.client.filters import FilterArgs

    kind, slash, id = (aggregate or "").partition("/")
    given = [("--type", one) for one in type or []]
    for option, value in (*given, ("--aggregate", aggregate), ("--user", user), ("--correlation", correlation)):
        # as from a variable of a shell that is not set: nothing, or everything, would be taken for what was meant
        if value == "":
            raise BadInput(f"{option} is empty: give what it is to choose, or leave it out", option.removeprefix("--"))
    if aggregate and not (kind and (id or not slash)):
        raise BadInput(f"--aggregate is {aggregate!r:.60} and not TYPE or TYPE/ID, as user or user/42", "aggregate")
    return FilterArgs(
        event_types=type or None,
        aggregate_type=kind or None,
        aggregate_id=id if slash else None,
        user_id=user,
        correlation_id=correlation,
    )


def _address(api: str | None, doing: str, data_dir: Path) -> str:
    """The address of the API; where it is not given, people are told which one it is."""
    chosen, here = chosen_settings(), running(data_dir)
    if api is not None:
        return api
    address = here.api if here is not None else _of(chosen)
    say(f"{doing} {redacted(address)}", sys.stderr)
    return address


def _of(chosen: Settings) -> str:
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    return f"http://{host}:{chosen.port}"
