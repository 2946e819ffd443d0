"""The help of every command names in a word what to give, and `--version` needs nothing else."""

import re
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from eventscope.cli.main import app

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _output(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    assert done.exit_code == 0, done.output
    return COLOUR.sub("", done.stdout)


def _commands(command: object, *names: str) -> Iterator[tuple[str, ...]]:
    """The names that lead to the command and to each below it."""
    yield names
    if isinstance(command, TyperGroup):
        for name, one in command.commands.items():
            yield from _commands(one, *names, name)


COMMANDS = list(_commands(get_command(app)))


def test_all_commands_are_found() -> None:
    assert {(), ("dev",), ("rejected",), ("rejected", "retry"), ("envelope", "try")} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_options_show_a_word_for_what_they_take_and_flags_show_nothing(command: tuple[str, ...]) -> None:
    options = [line for line in _output(*command, "--help").splitlines() if re.match("│ +--", line)]
    assert options
    assert [line for line in options if re.search(r"<\w", line)] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_line_of_usage_shows_arguments_as_they_are_typed(command: tuple[str, ...]) -> None:
    [usage] = [line for line in _output(*command, "--help").splitlines() if "Usage:" in line]
    options, arguments = usage.rstrip().partition(" [OPTIONS]")[1:]
    assert options
    assert re.fullmatch(r"( [A-Z]+| \[[A-Z]+\]\.\.\.)*", arguments)


def test_the_version_is_that_of_the_package() -> None:
    assert _output("--version") == f"eventscope {version('eventscope')}\n"
