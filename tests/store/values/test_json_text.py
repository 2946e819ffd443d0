"""JSON as text: what is accepted keeps its values, and everything else is refused with its place."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.values.json_text import Fault, loads, number_fault


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
    assert caught.value.path == "data.items[2].price"
    for name in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(Fault, match=rf"^{name} at data\.amount$") as caught:
            loads(f'{{"data": {{"amount": {name}}}}}'.encode())
        assert (caught.value.code, caught.value.path) == ("INVALID_JSON", "data.amount")
    with pytest.raises(Fault, match=r"^the key 'a' at \[1\] is given more than once$"):
        loads(b'[{"a": 1}, {"a": 1, "a": 2}]')
    with pytest.raises(Fault, match=r"^the integer 9223372036854775808 at n does not fit"):
        loads(b'{"n": 9223372036854775808}')
    with pytest.raises(Fault) as caught:
        loads(b"%s1e999%s" % (b'{"%s":[' % (b"k" * 90) * 99, b"]}" * 99))
    assert len(caught.value.path) <= 200


def test_the_fault_can_be_stored_even_if_a_key_is_half_a_surrogate_pair() -> None:
    with pytest.raises(Fault) as caught:
        loads(b'{"\\ud800": {"\\udfff": 1, "\\udfff": 1}}')
    assert str(caught.value) == r"the key '\udfff' at \ud800 is given more than once"
    assert caught.value.path == r"\ud800"


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
    assert (refused.value.code, refused.value.path) == ("INTEGER_TOO_LARGE", "n[0]")
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
