"""The options of `tail` and `export` on the command line."""

import pytest
from typer.testing import CliRunner

from eventscope.cli.main import app
from eventscope.errors import BadInput


@pytest.mark.parametrize("command", [["tail"], ["export", "-"]])
@pytest.mark.parametrize("option", ["--type", "--aggregate", "--user", "--correlation"])
def test_an_empty_option_is_refused_instead_of_waiting_for_matches(command: list[str], option: str) -> None:
    error = CliRunner().invoke(app, [*command, option, ""]).exception
    assert isinstance(error, BadInput)
    assert str(error).startswith(f"{option} is empty")


@pytest.mark.parametrize("aggregate", ["/", "/42", "user/"])
def test_half_of_an_aggregate_is_refused(aggregate: str) -> None:
    error = CliRunner().invoke(app, ["tail", "--aggregate", aggregate]).exception
    assert isinstance(error, BadInput)
    assert "not TYPE or TYPE/ID" in str(error)
