"""Values as JSON: what is written is read as the same, and what JSON would change is refused with its place."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from math import inf, isfinite, nan
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.store.values.json_text import Fault, dumps, loads


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
