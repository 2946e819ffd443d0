"""JSON as text: what is accepted comes out as it was written, and everything else is refused with its place."""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from math import inf, isfinite, nan
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventscope.store.values.json_text import Fault, dumps, integer_fault, loads, number_fault
from eventscope.store.values.json_walk import step


def code(raw: bytes) -> str:
    with pytest.raises(Fault) as caught:
        loads(raw)
    return caught.value.code


@pytest.mark.parametrize(
    "number",
    [
        "123456789012345.6789",
        "12345678901234567890.0",
        "3.14159265358979323846",
        "1.00000000000000000001",
        "9007199254740993.0",
        "9007199254740993e0",
        "9.007199254740993E+15",
        "1e400",
        "-1e400",
        "1e-400",
        "-1E-0400",
        "4.9e-324",
        "1e-99999999999999999999",
        "0." + "0" * 330 + "1",
        "1" + "0" * 400 + ".5",
    ],
)
def test_a_decimal_that_no_float_equals_is_refused_wherever_it_is(number: str) -> None:
    for around in ('{"a": %s}', "[1,%s]", "%s", '[{"a":{"b": 1.5, "c" : [%s ]}}]', "\n%s\t"):
        assert code((around % number).encode()) == "NUMBER_TOO_PRECISE"
    assert number_fault(number) is not None


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1e3", 1000.0),
        ("1.0", 1.0),
        ("1.50", 1.5),
        ("-0.0", -0.0),
        ("0e999", 0.0),
        ("0.0E-99999999999999999999", 0.0),
        ("1e0000000000000000000005", 100000.0),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("0.30000000000000004", 0.30000000000000004),
        ("9007199254740992.0", 9007199254740992.0),
        # the exact value of the float, which no program writes as its shortest digits
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("100000000000000000000000.000e-5", 1e18),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_a_number_that_is_kept_keeps_its_value_and_kind(number: str, value: float) -> None:
    read = loads(number.encode())
    assert (read, type(read), str(read)) == (value, type(value), str(value))


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_accepted_as_python_and_javascript_write_it_and_with_all_its_digits(value: float) -> None:
    for text in (repr(value), orjson.dumps(value).decode(), f"{value:.17g}", format(Decimal(value), "f")):
        if "." in text or "e" in text:
            shortest = Decimal(text) == Decimal(repr(value)) or Decimal(text) == Decimal(value)
            assert (number_fault(text) is None) is shortest
            if shortest:
                assert loads(f"[{text}]".encode()) == [value]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a" :1, "b":1, "b":2}',
        b'{"a:": "\\u003a", "b": 1, "b": 2}',
        b'{"a": "\\":", "x": {"y": [{"": 1, "": 2}]}}',
        b'{"a": 1e5, "A": {"\xc3\xa9": 1, "\\u00e9": 2}}',
    ],
)
def test_a_key_given_twice_in_one_object_is_refused(raw: bytes) -> None:
    assert code(raw) == "DUPLICATE_KEY"


def test_the_place_of_the_fault_is_named() -> None:
    with pytest.raises(Fault, match=r"^the number 1e999 at data\.items\[2\]\.price is beyond") as caught:
        loads(b'{"data": {"items": [1, {"price": 1}, {"price": 1e999}, 1e-999]}}')
    assert caught.value.place == "data.items[2].price"
    for name in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(Fault, match=rf"^{name} at data\.amount$") as caught:
            loads(f'{{"data": {{"amount": {name}}}}}'.encode())
        assert (caught.value.code, caught.value.place) == ("INVALID_JSON", "data.amount")
    with pytest.raises(Fault, match=r"^the key 'a' at \[1\] is given more than once$"):
        loads(b'[{"a": 1}, {"a": 1, "a": 2}]')
    with pytest.raises(Fault, match=r"^the integer 9223372036854775808 at n does not fit"):
        loads(b'{"n": 9223372036854775808}')
    with pytest.raises(Fault) as caught:
        loads(b"%s1e999%s" % (b'{"%s":[' % (b"k" * 90) * 99, b"]}" * 99))
    assert len(caught.value.place) <= 200


def test_the_fault_can_be_stored_even_if_a_key_is_half_a_surrogate_pair() -> None:
    with pytest.raises(Fault) as caught:
        loads(b'{"\\ud800": {"\\udfff": 1, "\\udfff": 1}}')
    assert str(caught.value) == r"the key '\udfff' at \ud800 is given more than once"
    assert caught.value.place == r"\ud800"


def test_integers_of_any_size_are_exact_where_they_are_allowed() -> None:
    assert loads(b'{"n": 123456789012345678901234567890}', any_integer=True) == {"n": 123456789012345678901234567890}
    with pytest.raises(Fault, match="does not fit"):
        loads(b"9" * 5000, any_integer=True)


@pytest.mark.parametrize("digits", [309, 400, 700, 1500, 4000])
def test_integers_beyond_any_float_are_exact_too_where_any_size_is_allowed(digits: int) -> None:
    raw = b'{"n": [%s]}' % (b"9" * digits)
    assert loads(raw, any_integer=True) == {"n": [10**digits - 1]}
    with pytest.raises(Fault) as refused:
        loads(raw)
    assert (refused.value.code, refused.value.place) == ("INTEGER_TOO_LARGE", "n[0]")
    for broken in (raw[:-1], raw.replace(b'"n"', b'"\\ud800"'), raw.replace(b"[", b'["\\ud800",')):
        with pytest.raises(Fault) as refused:
            loads(broken, any_integer=True)
        assert refused.value.code == "INVALID_JSON"


@pytest.mark.parametrize(
    "raw", [b"", b"nul", b"NaN", b"-Infinity", b"[1e999", b"[1e-999,]", b'["\\ud800"]', b'"\xff"', b"[NaN, 1e999]"]
)
def test_what_is_not_json_is_refused_as_such(raw: bytes) -> None:
    assert code(raw) == "INVALID_JSON"


@pytest.mark.parametrize("inner", [b"1", b"12345678901234567890", b"1e999", b'{"a":1,"a":2}', b'"\\u003a"'])
@pytest.mark.parametrize("depth", [2000, 100_000])
def test_what_is_nested_too_deeply_is_refused_as_such(inner: bytes, depth: int) -> None:
    assert code(b"[" * depth + inner + b"]" * depth) == "TOO_DEEP"


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


def first_fault(value: Any, place: str = "") -> tuple[str, str] | None:
    """The code and the place of the first fault; numbers are texts here, and objects are Pairs."""
    match value:
        case Pairs():
            if len(dict(value)) < len(value):
                return "DUPLICATE_KEY", place
            members: list[tuple[str | int, Any]] = [*value]
        case list():
            members = [*enumerate(value)]
        case ("number", str(number)):
            fault = (number_fault if set(number) & set(".eE") else integer_fault)(number)
            return None if fault is None else (fault.code, place)
        case _:
            return None
    faults = (first_fault(one, step(place, key)) for key, one in members)
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
        assert (fault.code, fault.place) == first_fault(value)
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


class Colour(Enum):
    """An enum that orjson can write."""

    RED = "red"
    BLACK = nan
    LIGHT = (1, inf)


@dataclass
class Item:
    """A dataclass that orjson can write."""

    price: float
    more: Any = None


def itself() -> Any:
    endless: list[Any] = []
    endless += [endless, endless]
    return endless


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nan, "NaN"),
        ({"p": inf}, "Infinity at p"),
        ({"a": None, "items": [1, {}, {"price": -inf}, nan]}, "-Infinity at items[2].price"),
        ((None, (nan,)), "NaN at [1][0]"),
        ({"a": Item(1.5, [Item(nan)])}, "NaN at a.more[0].price"),
        ([Colour.RED, Colour.BLACK], "NaN at [1]"),
        ([Colour.LIGHT], "Infinity at [0][1]"),
        ({"n": 2**63}, "the integer 9223372036854775808 at n does not fit into 64 bits; send it as text"),
        ([-(2**64)], "the integer -18446744073709551616 at [0] does not fit into 64 bits; send it as text"),
        ([10**5000], "the integer of 16610 bits at [0] does not fit into 64 bits; send it as text"),
        ({"a": {1: 2, "1": 3}}, "the key 1 at a is not a string"),
        ({"a": [{1, 2}]}, "Type is not JSON serializable: set at a[0]"),
        ({"a": "\ud800"}, "str is not valid UTF-8: surrogates not allowed at a"),
        (Decimal("1.5"), "Type is not JSON serializable: decimal.Decimal"),
    ],
)
def test_a_value_that_json_would_change_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(Fault) as caught:
        dumps(value)
    assert str(caught.value) == message


def test_a_list_that_contains_itself_is_refused() -> None:
    with pytest.raises(Fault, match="Recursion limit reached"):
        dumps(itself())


@pytest.mark.parametrize(
    "value",
    [None, [None, {"a": None}], {"n": 2**63 - 1}, [1e300, 12345678901234567], Item(0.1), Colour.RED, datetime.now(UTC)],
)
def test_every_other_value_is_written_as_usual(value: Any) -> None:
    assert dumps([None, value]) == orjson.dumps([None, value])


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(2**65), 2**65), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@given(values)
def test_whatever_is_written_is_parsed_as_the_same_value(value: Any) -> None:
    try:
        text = dumps(value)
    except Fault:
        assert not holds_only_what_json_has(value)
    else:
        assert holds_only_what_json_has(value)
        assert repr(loads(text)) == repr(value)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it is empty"),
        (b" \r\n", "it is empty"),
        (b'{"type": "caf\xe9"}', "it is not UTF-8 from byte 14 on"),
        (b'"\xed\xa0\x80"', "it is not UTF-8 from byte 2 on"),
    ],
)
def test_what_is_not_text_is_reported_as_such(raw: bytes, said: str) -> None:
    with pytest.raises(Fault, match=f"^{said}$"):
        loads(raw)


def holds_only_what_json_has(value: Any) -> bool:
    match value:
        case float():
            return isfinite(value)
        case int():
            return -(2**63) <= value < 2**63
        case list():
            return all(map(holds_only_what_json_has, value))
        case dict():
            return all(map(holds_only_what_json_has, value.values()))
        case _:
            return True
