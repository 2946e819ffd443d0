"""The commands `eventscope rejected …`: what can be asked for on the command line. What they do is in `rejections`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventscope import settings
from eventscope.dev.data_folder import DATA_DIR, DATA_DIR_HELP, found
from eventscope.errors import BadInput
from eventscope.settings import Settings

# As in __main__, each command imports what it runs when it runs.

app = typer.Typer(no_args_is_help=True, help="Look at messages that could not be taken; try them again, or drop them.")

Numbers = Annotated[list[int] | None, typer.Argument(min=1, help="Numbers, as `list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="All that are there now.")]
Code = Annotated[str | None, typer.Option(help="Only those with this code: VERSION_CONFLICT, INVALID_JSON …")]
DataDir = Annotated[Path, typer.Option(help=DATA_DIR_HELP)]


@app.command("list")
def list_(
    code: Code = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show the last ones: number, code, time, subject and reason."""
    from eventscope.cli import rejections

    asyncio.run(rejections.show_all(_settings(data_dir), code, limit))


@app.command()
def show(
    number: Annotated[int, typer.Argument(min=1, help="As `list` shows it.")],
    raw: Annotated[bool, typer.Option("--raw", help="Nothing but its bytes, to put into a file.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Show one whole: headers and bytes."""
    from eventscope.cli import rejections

    asyncio.run(rejections.show(_settings(data_dir), number, raw=raw))


@app.command()
def retry(
    numbers: Numbers = None,
    all: All = False,
    code: Code = None,
    mended: Annotated[
        str | None,
        typer.Option("--with", metavar="FILE", help="Send these bytes instead, mended; - for standard input."),
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send them the way they came, once what kept them out is mended. Exit code 1 when not all of them are stored."""
    from eventscope.cli import rejections

    _check(numbers, all, code)
    if mended is not None:
        if numbers is None or len(numbers) != 1:
            raise BadInput("--with goes with one number")
        chosen = _settings(data_dir)
        raise typer.Exit(asyncio.run(rejections.retry_with(chosen, numbers[0], _bytes(mended))))
    raise typer.Exit(asyncio.run(rejections.retry(_settings(data_dir), numbers, code)))


@app.command()
def drop(
    numbers: Numbers = None,
    all: All = False,
    code: Code = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Let them go for good: nothing of them is kept."""
    from eventscope.cli import rejections

    _check(numbers, all, code)

    def agreed(count: int) -> bool:
        return yes or typer.confirm(f"Drop {count} rejected message{'' if count == 1 else 's'} for good?")

    asyncio.run(rejections.drop(_settings(data_dir), numbers, code, agreed))


def _check(numbers: list[int] | None, all: bool, code: str | None) -> None:
    if bool(numbers) == all:
        raise BadInput("give numbers, or --all")
    if code is not None and not all:
        raise BadInput("--code goes with --all")


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror})") from None


def _settings(data_dir: Path) -> Settings:
    return found(settings.load(), data_dir)
