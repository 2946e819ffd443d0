"""The commands `eventscope envelope …`: what can be asked for on the command line; `envelope_try` does it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope import settings
from eventscope.errors import BadInput

# As in __main__, each command imports what it runs when it runs.

app = typer.Typer(no_args_is_help=True, help="Say what messages look like, and see what becomes of them.")


@app.callback()
def envelope() -> None:
    """Say what messages look like, and see what becomes of them."""


@app.command("try")
def try_(
    mapping: Annotated[str, typer.Argument(help="A mapping, or a whole EVENTSCOPE_ENVELOPES: a file, or JSON.")],
    file: Annotated[str, typer.Argument(help="Sample messages: JSON, a list, or lines of it; - for standard input.")],
    subject: Annotated[str | None, typer.Option(help="That of samples which are the bare message.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, for programs.")] = False,
) -> None:
    """Show what would become of sample messages, without any server. Exit code 1 when one would be rejected."""
    from eventscope.cli.envelope import trial

    chosen = settings.load()
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from None
    raise typer.Exit(trial.show(chosen, mapping, content, subject, as_json=as_json))
