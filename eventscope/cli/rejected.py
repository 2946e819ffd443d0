"""The commands `eventscope rejected …`: their options. `rejections` runs them."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope import settings
from eventscope.cli.help import Command, Group
from eventscope.dev.data_folder import DATA_DIR, DATA_DIR_HELP, with_running_servers
from eventscope.errors import BadInput
from eventscope.settings import Settings

# Each command imports what it runs when it runs, as in main.

app = typer.Typer(cls=Group, no_args_is_help=True, help="Inspect rejected messages; retry or drop them.")

Numbers = Annotated[
    list[int] | None,
    typer.Argument(min=1, metavar="NUMBER", help="Numbers of rejected messages, as `list` shows them."),
]
All = Annotated[bool, typer.Option("--all", help="All messages that are rejected now.")]
Code = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="Only messages with this code, like VERSION_CONFLICT or INVALID_JSON."),
]
DataDir = Annotated[Path, typer.Option(metavar="FOLDER", help=DATA_DIR_HELP)]


@app.command("list", cls=Command)
def list_(
    code: Code = None,
    limit: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Maximum number of messages.")] = 50,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """List rejected messages, newest first: number, code, time, subject and reason."""
    from eventscope.cli import rejections

    asyncio.run(rejections.show_all(_settings(data_dir), code, limit))


@app.command(cls=Command)
def show(
    number: Annotated[
        int, typer.Argument(min=1, metavar="NUMBER", help="Number of a rejected message, as `list` shows it.")
    ],
    raw: Annotated[bool, typer.Option("--raw", help="Write only its bytes, to be redirected to a file.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show one rejected message with its headers and bytes."""
    from eventscope.cli import rejections

    asyncio.run(rejections.show(_settings(data_dir), number, raw=raw))


@app.command(cls=Command)
def retry(
    numbers: Numbers = None,
    all: All = False,
    code: Code = None,
    file: Annotated[
        str | None,
        typer.Option("--with", metavar="FILE", help="Send the corrected bytes in FILE instead; - for standard input."),
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send rejected messages, by their numbers or --all, again, once their cause is fixed.

    The exit code is 1 unless all of them are stored.
    """
    from eventscope.cli import rejections

    _check(numbers, all, code)
    if file is not None:
        if numbers is None or len(numbers) != 1:
            raise BadInput("--with needs exactly one number")
        raise typer.Exit(asyncio.run(rejections.retry_with(_settings(data_dir), numbers[0], _bytes(file))))
    raise typer.Exit(asyncio.run(rejections.retry(_settings(data_dir), numbers, code)))


@app.command(cls=Command)
def drop(
    numbers: Numbers = None,
    all: All = False,
    code: Code = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Delete rejected messages, by their numbers or --all, for good."""
    from eventscope.cli import rejections

    _check(numbers, all, code)

    def confirm(count: int) -> bool:
        return yes or typer.confirm(f"Drop {count} rejected message{'' if count == 1 else 's'} for good?")

    asyncio.run(rejections.drop(_settings(data_dir), numbers, code, confirm))


def _check(numbers: list[int] | None, all: bool, code: str | None) -> None:
    if bool(numbers) == all:
        raise BadInput("give numbers, or --all, and not both")
    if code is not None and not all:
        raise BadInput("--code needs --all")


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from None


def _settings(data_dir: Path) -> Settings:
    return with_running_servers(settings.load(), data_dir)
