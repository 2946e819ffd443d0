"""Reading JSON is fast, and as exact as a plain reader that inspects every part."""

import json
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventscope.store.values.json_text import Fault, integer_fault, loads, number_fault
from eventscope.store.values.json_walk import step


def exactly(text: str) -> Any:
    """The value of the text, or the codes of its faults, without regard to speed."""
    wrong: set[str] = set()

    def decimal(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")) or Decimal(digits) not in (Decimal(repr(value)), Decimal(value)):
            wrong.add("NUMBER_TOO_PRECISE")
        return value

    def integer(digits: str) -> int:
        if not -(2**63) <= int(digits) < 2**63:
            wrong.add("INTEGER_TOO_LARGE")
        return int(digits)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            wrong.add("DUPLICATE_KEY")
        return dict(pairs)

    value = json.loads(text, parse_float=decimal, parse_int=integer, object_pairs_hook=members)
    return wrong or [value]


blanks = st.sampled_from(["", "", "", " ", "\n", " \t"])
digits = st.text("0123456789", max_size=22)
zeros = st.integers(0, 340).map("0".__mul__)
exponents = st.one_of(
    st.just(""),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from("eE"),
        st.sampled_from(["", "+", "-"]),
        st.sampled_from(["", "0", "00"]),
        st.integers(0, 420),
    ),
)
decimals = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole.lstrip('0') or '0'}{fraction and '.' + fraction}{exponent}",
    st.sampled_from(["", "-"]),
    st.one_of(digits, st.builds(str.__add__, st.integers(1, 99).map(str), zeros)),
    st.one_of(st.just(""), digits, st.builds(str.__add__, zeros, digits)),
    exponents,
)
characters = st.sampled_from(
    ['\\"', ":", "\\u003a", "\\u003A", "\\u0022", "a", "\\u0061", "\\\\", "1", "e", "-", "9" * 9, ","]
)
strings = st.lists(characters, max_size=4).map(lambda parts: f'"{"".join(parts)}"')
texts = st.recursive(
    st.one_of(
        decimals,
        strings,
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-(2**65), 2**65).map(str),
        st.uuids().map(lambda id: f'"{id}"'),
        st.sampled_from(["null", "true"]),
    ),
    lambda inner: st.one_of(
        st.lists(st.builds("{}{}{}".format, blanks, inner, blanks), max_size=4).map(lambda all: f"[{','.join(all)}]"),
        st.lists(st.builds("{}{}{}:{}{}".format, blanks, strings, blanks, blanks, inner), max_size=4).map(
            lambda all: f"{{{','.join(all)}}}"
        ),
    ),
    max_leaves=8,
)


def agrees(text: str) -> None:
    expected = exactly(text)
    try:
        found: Any = [loads(text.encode())]
    except Fault as fault:
        assert fault.code in expected
    else:
        assert repr(found) == repr(expected)


@given(texts)
@example('{"a" :1,"b":1,"b":2}')
@example('{"\\"":1,"b":"\\":","b":"\\u003a"}')
def test_the_quick_check_misses_nothing_that_exact_parsing_finds(text: str) -> None:
    agrees(text)


class Pairs(list[tuple[str, Any]]):
    """The members of an object, as they were written."""


def first_fault(value: Any, path: str = "") -> tuple[str, str] | None:
    """The code and the path of the first fault; numbers are texts here, and objects are Pairs."""
    match value:
        case Pairs():
            if len(dict(value)) < len(value):
                return "DUPLICATE_KEY", path
            members: list[tuple[str | int, Any]] = [*value]
        case list():
            members = [*enumerate(value)]
        case ("number", str(number)):
            fault = (number_fault if set(number) & set(".eE") else integer_fault)(number)
            return None if fault is None else (fault.code, path)
        case _:
            return None
    faults = (first_fault(one, step(path, key)) for key, one in members)
    return next(filter(None, faults), None)


@given(texts)
@example('[{"a":1e999,"a":1},1e999]')
@example('[1e999,{"a":1,"a":1}]')
@example('[{"a":{"b":1,"b":1},"c":12345678901234567890,"a":1}]')
@example('[[],[{}],{"a":[[0],12345678901234567890]},1e999]')
def test_of_several_faults_the_first_one_is_named(text: str) -> None:
    def number(digits: str) -> tuple[str, str]:
        return ("number", digits)

    value = json.loads(text, parse_float=number, parse_int=number, object_pairs_hook=Pairs)
    try:
        loads(text.encode())
    except Fault as fault:
        assert (fault.code, fault.path) == first_fault(value)
    else:
        assert first_fault(value) is None


@pytest.mark.parametrize(
    "wrong", ['{"a":1,"a":2}', "12345678901234567890", "0.12345678901234567890"], ids=["key", "integer", "decimal"]
)
@pytest.mark.parametrize("front", [True, False])
def test_one_fault_does_not_make_everything_else_slow(wrong: str, front: bool) -> None:
    calls = 0

    def count(frame: object, what: str, argument: object) -> None:
        nonlocal calls
        calls += what == "call"

    rest = ",".join(["0"] * 10_000)
    raw = f"[{wrong},{rest}]" if front else f"[{rest},{wrong}]"
    sys.setprofile(count)
    try:
        with pytest.raises(Fault):
            loads(raw.encode())
    finally:
        sys.setprofile(None)
    # each number is checked if it may be a long one, but its place is not computed
    assert calls < (100 if "a" in wrong else 10_100)


# each at the edge of what a float can hold, written in as few or as many characters as possible
near = st.one_of(
    st.builds("{}e{}".format, st.integers(1, 99), st.integers(-330, -300)),
    st.builds("{}.{}E-0{}".format, st.integers(0, 9), st.integers(0, 999), st.integers(300, 330)),
    st.builds("{}e{}".format, st.integers(2**53, 10**16 - 1), st.integers(-5, 5)),
    st.builds("{}.{}".format, st.integers(8, 9), st.integers(10**14, 10**15 - 1)),
    st.builds("{}.{}".format, st.integers(0, 10**9), st.integers(10**7, 10**10)),
    st.builds("{}.0".format, st.integers(10**14, 10**18)),
    st.builds("0.{}{}".format, zeros, st.integers(1, 10**4)),
    st.integers(2**63 - 2, 2**63 + 2).map(str),
    st.integers(-(2**63) - 2, -(2**63) + 2).map(str),
)


@given(near, st.sampled_from(["%s", "[%s]", '{"a":%s}', "[%s ,1]"]))
def test_the_quick_check_misses_no_number(number: str, around: str) -> None:
    agrees(around % number)
