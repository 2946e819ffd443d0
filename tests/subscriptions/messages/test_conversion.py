"""Conversions of a mapping are exact or refused, whatever the value."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope import envelopes
from eventscope.store.values import moment
from eventscope.store.values.message import AcceptedMessage, RejectedMessage
from eventscope.subscriptions.messages.conversion import CONVERSIONS
from tests.subscriptions.support import mapped_messages

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = {"seconds": 1_000_000, "milliseconds": 1000, "microseconds": 1}
MICROSECONDS = st.integers(-62135596800000000, 253402300799999999)


@given(MICROSECONDS, st.sampled_from(sorted(UNITS)))
def test_a_time_is_exact_to_the_microsecond(microseconds: int, unit: Any) -> None:
    written = format(Decimal(microseconds) / UNITS[unit], "f")
    expected = EPOCH + timedelta(microseconds=microseconds)
    assert datetime.fromisoformat(CONVERSIONS[unit](written)) == expected
    if abs(microseconds) < 10**15:  # as much as a float can hold
        assert datetime.fromisoformat(CONVERSIONS[unit](orjson.loads(written))) == expected
    assert datetime.fromisoformat(CONVERSIONS["nanoseconds"](str(microseconds * 1000 + 999))) == expected


@pytest.mark.parametrize(
    ("unit", "value", "time"),
    [
        ("seconds", 1700000000, "2023-11-14T22:13:20Z"),
        ("seconds", 1700000000.123456, "2023-11-14T22:13:20.123456Z"),
        ("seconds", "1700000000.9999999999999999999999999999999", "2023-11-14T22:13:20.999999Z"),
        ("seconds", -0.5, "1969-12-31T23:59:59.500000Z"),
        ("seconds", "-62135596800", "0001-01-01T00:00:00Z"),
        ("milliseconds", 1700000000001, "2023-11-14T22:13:20.001000Z"),
        ("milliseconds", "1700000000001", "2023-11-14T22:13:20.001000Z"),
        ("microseconds", 1700000000000001, "2023-11-14T22:13:20.000001Z"),
        ("nanoseconds", 1700000000000001999, "2023-11-14T22:13:20.000001Z"),
        ("seconds", 1e9, "2001-09-09T01:46:40Z"),
    ],
)
def test_times_since_1970_are_converted(unit: str, value: object, time: str) -> None:
    fields = mapped_messages.fields(
        {"timestamp": {"path": "ts", "as": unit}, "metadata.at": {"path": "ts", "as": unit}}, {"ts": value}
    )
    assert (fields["timestamp"], fields["metadata"]) == (moment.from_text(time), {"at": time})


@pytest.mark.parametrize(
    "value", ["", " 1", "1e9", "0x1", "NaN", "\u0661", "1_000", True, [], {}, "9" * 41, 1e300, 10**18]
)
def test_what_is_not_a_time_is_refused(value: object) -> None:
    message = mapped_messages.open_message({"timestamp": {"path": ["ts"], "as": "seconds"}}, {"ts": value})
    if value == "":  # counts as missing
        assert message.fields["timestamp"] == 1
    else:
        assert message.code == "INVALID_TIMESTAMP"


@pytest.mark.parametrize(
    ("conversion", "value", "converted"),
    [
        ("text", 1.5, "1.5"),
        ("text", True, "true"),
        ("text", -7, "-7"),
        ("text", "x", "x"),
        ("number", "42", 42),
        ("number", "-1.50", -1.5),
        ("number", "1e2", 100.0),
        ("number", 3, 3),
    ],
)
def test_texts_and_numbers_are_converted(conversion: str, value: object, converted: object) -> None:
    found = mapped_messages.fields({"data": {"path": "v", "as": conversion}}, {"v": value})["data"]
    assert (found, type(found)) == (converted, type(converted))


@pytest.mark.parametrize(
    ("conversion", "value"),
    [
        ("text", {}),
        ("text", [1]),
        ("number", "x"),
        ("number", True),
        ("number", "NaN"),
        ("number", []),
        ("number", ""),
        ("number", "123456789012345.6789"),
        ("number", "9223372036854775808"),
        ("number", '"1"'),
        ("number", "[1]"),
    ],
)
def test_what_is_neither_a_text_nor_a_number_is_refused(conversion: str, value: object) -> None:
    assert mapped_messages.open_message({"data": {"path": "v", "as": conversion}}, {"v": value}).code == "INVALID_FIELD"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(VALUES, st.sampled_from(sorted(CONVERSIONS)))
def test_no_value_makes_a_conversion_fail_unexpectedly(value: Any, conversion: str) -> None:
    mapping = {name: {"path": "v", "as": conversion} for name in ("timestamp", "metadata.x")}
    if conversion in ("text", "number"):
        mapping |= {name: {"path": "v", "as": conversion} for name in envelopes.MEMBERS}
    assert isinstance(mapped_messages.open_message(mapping, {"v": value}), AcceptedMessage | RejectedMessage)
