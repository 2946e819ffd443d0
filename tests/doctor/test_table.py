"""The doctor's table for people: each piece of advice once, below the first finding that needs it."""

from rich.console import Console

from eventscope.doctor.examine import table
from eventscope.doctor.finding import Finding, Level


def _printed(*findings: Finding) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(table(findings))
    return capture.get()


def test_a_finding_without_advice_is_printed_without_any() -> None:
    assert "→" not in _printed(Finding("MongoDB version", Level.OK, "6.0.5", ""))


def test_the_same_advice_is_printed_once() -> None:
    both = _printed(
        Finding("MongoDB", Level.BROKEN, "does not answer", "start it"),
        Finding("the log", Level.BROKEN, "cannot be read", "start it"),
    )
    assert both.count("→ start it") == 1
