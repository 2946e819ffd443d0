"""Output cannot control a terminal, whatever was sent, and every terminal can show it."""

import io
import json
import logging
import sys
import unicodedata

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventscope.terminal import SafeFormatter, safe, say, say_json

ENCODINGS = st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"])
STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
VALUES = st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def printed(encoding: str, print_it: object, *arguments: object) -> str:
    assert callable(print_it)
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    before, sys.stdout = sys.stdout, screen
    try:
        print_it(*arguments)
    finally:
        sys.stdout = before
    assert isinstance(screen.buffer, io.BytesIO)
    return screen.buffer.getvalue().decode(encoding)


def steers(text: str) -> bool:
    return any(unicodedata.category(sign) in STEERING and sign != "\t" for sign in text)


@given(st.text(st.characters()), ENCODINGS)
@example("\x1b]0;owned\x07\x1b[2K\r all is well", "utf-8")
@example("\x9b2J\u202e \U0001f600", "latin-1")
@example("\ud800", "utf-8")
def test_no_text_controls_a_terminal_or_is_too_much_for_it(text: str, encoding: str) -> None:
    said = printed(encoding, say, text)
    assert said.endswith("\n")
    assert not steers(said[:-1])


@given(VALUES, ENCODINGS)
@example({"\x7f\x9b": "\u202e\U0001f600"}, "ascii")
def test_json_for_programs_means_the_same_and_controls_no_terminal(value: object, encoding: str) -> None:
    try:
        raw = orjson.dumps(value)
    except TypeError:  # integers over 64 bits, and halves of surrogate pairs
        return
    said = printed(encoding, say_json, raw)
    assert json.loads(said) == value
    assert not steers(said[:-1])


@given(st.text(st.characters()))
def test_a_record_of_the_log_is_one_line_that_controls_no_terminal(text: str) -> None:
    record = logging.LogRecord(text, logging.WARNING, "", 0, "%s", (text,), None)
    assert not steers(SafeFormatter("%(name)s: %(message)s").format(record))


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("\x1b[2K")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "it failed", (), sys.exc_info())
    first, *more = SafeFormatter("%(message)s").format(record).split("\n")
    assert first == "it failed"
    assert more[0] == "Traceback (most recent call last):"
    assert more[-1] == "ValueError: \\x1b[2K"


@pytest.mark.parametrize(("text", "shown"), [("a\nb", "a\\nb"), ("größe 中", "größe 中"), ("\x00", "\\x00")])
def test_printable_text_stays_as_it_is(text: str, shown: str) -> None:
    assert safe(text) == shown
