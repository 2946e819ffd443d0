"""The commands `eventscope envelope …`: their options. `trial` runs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope import settings
from eventscope.cli.help import Command, Group
from eventscope.errors import BadInput

# Each command imports what it runs when it runs, as in main.

HELP = "Try envelopes: how messages of any shape become events."

app = typer.Typer(cls=Group, no_args_is_help=True, help=HELP)


@app.callback(help=HELP)
def envelope() -> None:
    """With a callback, `try` stays a command of its own although it is the only one."""


@app.command("try", cls=Command)
def try_(
    mapping: Annotated[
        str,
        typer.Argument(metavar="MAPPING", help="A mapping or a value for EVENTSCOPE_ENVELOPES: JSON or a file."),
    ],
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Sample messages: JSON, a list, or JSON lines; - for standard input."),
    ],
    subject: Annotated[
        str | None, typer.Option(metavar="SUBJECT", help="Subject of samples that do not name their own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")] = False,
) -> None:
    """Show what sample messages would become. Needs no server. The exit code is 1 if one would be rejected."""
    from eventscope.cli.envelope import trial

    loaded = settings.load()
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from None
    raise typer.Exit(trial.show(loaded, mapping, content, subject, as_json=as_json))
