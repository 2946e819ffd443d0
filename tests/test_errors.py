"""Errors: each has a code that clients can rely on, is in one tree, and is described in docs/errors.md."""

import ast
import logging
import re
from dataclasses import fields
from pathlib import Path

import pytest

from eventscope import errors, rejection_codes
from eventscope.errors import (
    TO_MEND,
    BadInput,
    Blocked,
    CannotStart,
    EventscopeError,
    LeaseLost,
    PageTooLarge,
    QuestionTimedOut,
    TooComplex,
    Unavailable,
    Unstorable,
    to_client,
)
from eventscope.schema.limits.limits import Limits
from eventscope.settings import variable

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "errors.md").read_text()
REJECT = {"rejectedmessage", "rejection", "invalidmessage", "fault", "mark"}  # what rejects a message, with its code


def tree(kind: type[EventscopeError] = EventscopeError) -> set[type[EventscopeError]]:
    return {kind}.union(*(tree(below) for below in kind.__subclasses__() if below.__module__ == errors.__name__))


def client_codes() -> set[str]:
    return {kind.code for kind in tree()}


def codes_of_rejections() -> set[str]:
    """Every code that the source rejects a message with."""
    found: set[str] = set()
    for file in [*(ROOT / "store").rglob("*.py"), *(ROOT / "subscriptions").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id.strip("_").lower() in REJECT
            ):
                texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                found |= {text for text in texts if re.fullmatch("[A-Z_]+", text)}
    return found


def documented(heading: str) -> list[str]:
    """The codes in the table below that heading."""
    section = DOCUMENT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([A-Z_]+)` \| .*\|$", section, re.MULTILINE)


def test_the_tree_in_the_module_shows_every_error_with_its_code() -> None:
    assert errors.__doc__ is not None
    drawn = dict(re.findall(r"[├└]── (\w+) +([A-Z_]+|\(not for clients\)) ", errors.__doc__))
    real = {kind.__name__: kind.code for kind in tree() - {EventscopeError}}
    assert drawn == {name: "(not for clients)" if code == "INTERNAL" else code for name, code in real.items()}


def test_the_docs_list_every_code_of_an_answer_and_no_other() -> None:
    assert sorted(documented("In answers")) == sorted(client_codes())


def test_the_docs_and_the_command_line_know_every_code_of_a_rejection_and_no_other() -> None:
    assert len(codes_of_rejections()) >= 15
    assert sorted(documented("Rejected messages")) == sorted(codes_of_rejections())
    assert sorted(rejection_codes.CODES) == sorted(codes_of_rejections())


def test_each_code_is_documented_with_why_and_what_to_do() -> None:
    for row in re.findall(r"^\| `[A-Z_]+` \|.*$", DOCUMENT, re.MULTILINE):
        *_, why, what_to_do, end = [cell.strip() for cell in row.split("|")]
        assert why.endswith(".")
        assert what_to_do.endswith(".")
        assert end == ""


@pytest.mark.parametrize(
    ("error", "extensions"),
    [
        (BadInput("no"), {"code": "BAD_USER_INPUT"}),
        (BadInput("no", "after"), {"code": "BAD_USER_INPUT", "field": "after"}),
        (PageTooLarge("first", 5, 4), {"code": "PAGE_TOO_LARGE", "field": "first"}),
        (TooComplex("no"), {"code": "QUERY_TOO_COMPLEX"}),
        (QuestionTimedOut(10.0), {"code": "TIMEOUT"}),
        (Unavailable("away"), {"code": "UNAVAILABLE"}),
    ],
)
def test_an_error_for_clients_is_reported_in_its_own_words(error: EventscopeError, extensions: dict[str, str]) -> None:
    assert to_client(error) == {"message": str(error), "extensions": extensions}


@pytest.mark.parametrize("error", [Blocked("hunter2"), CannotStart("hunter2")])
def test_what_somebody_has_to_repair_is_unavailable_with_its_reason_only_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert to_client(error) == {"message": TO_MEND, "extensions": {"code": "UNAVAILABLE"}}
    [record] = caplog.records
    assert (record.getMessage(), record.exc_info) == ("UNAVAILABLE: hunter2", None)


@pytest.mark.parametrize("error", [ValueError("hunter2"), Unstorable("hunter2"), LeaseLost("hunter2")])
def test_an_error_that_is_not_for_clients_becomes_an_id_that_is_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    answer = to_client(error)
    assert answer["message"] == "Internal error"
    assert answer["extensions"].keys() == {"code", "errorId"}
    assert answer["extensions"]["code"] == "INTERNAL"
    [record] = caplog.records
    assert (record.levelno, record.exc_info and record.exc_info[1]) == (logging.ERROR, error)
    assert answer["extensions"]["errorId"] in record.getMessage()
    assert to_client(error)["extensions"]["errorId"] != answer["extensions"]["errorId"]


def test_an_error_message_contains_the_values() -> None:
    assert str(PageTooLarge("first", 1001, 1000)) == "first is 1001, but a page holds at most 1000"
    assert str(QuestionTimedOut(0.5)) == "the answer took longer than 0.5 seconds; narrow the query"


def test_the_docs_list_every_limit_with_its_default_and_its_setting() -> None:
    rows = re.findall(r"^\| .+ \| ([\d,]+) \| `(EVENTSCOPE_MOST_\w+)` \|$", DOCUMENT, re.MULTILINE)
    assert {name: int(most.replace(",", "")) for most, name in rows} == {
        variable(f"most_{field.name}"): field.default for field in fields(Limits)
    }
