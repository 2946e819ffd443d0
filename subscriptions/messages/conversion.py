"""Conversions of a mapping: from a value in a message to a text, a number or a time. No I/O."""

import re
from collections.abc import Callable, Mapping
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any, Final

import orjson

from eventscope.envelopes import Conversion
from eventscope.store.values import json_text, moment

NUMBER: Final = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII)
EXACT: Final = Context(prec=100)  # no digit of a NUMBER is lost
UNITS: Final = {6: "seconds", 3: "milliseconds", 0: "microseconds", -3: "nanoseconds"}
MOST_SHOWN: Final = 60


def text(value: Any) -> str:
    """A text, a number or a boolean as text, as in JSON. ValueError for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return orjson.dumps(value).decode()
    raise ValueError(f"{excerpt(value)} is not a text, a number or a boolean")


def number(value: Any) -> int | float:
    """The number, or the number in a text. ValueError if there is none, or none that can be stored exactly."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{excerpt(value)} is not a number")
    try:
        parsed = json_text.loads(value.encode())
    except json_text.Fault as fault:
        raise ValueError(f"{excerpt(value)} is not a number: {fault}") from None
    if not isinstance(parsed, int | float) or isinstance(parsed, bool):
        raise ValueError(f"{excerpt(value)} is not a number")
    return parsed


def time(value: Any, exponent: int) -> str:
    """The time that a message gives in units since 1970, each of which has 10 ** exponent microseconds.

    The value may be an integer, a decimal, or the text of one; digits below microseconds are cut off. ValueError if it
    is none of these, or not within the years 1 to 9999.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        units = Decimal(repr(value))  # the decimal in the message, not the float nearest to it
    elif isinstance(value, str) and NUMBER.fullmatch(value):
        units = Decimal(value)
    else:
        raise ValueError(f"{excerpt(value)} is not a number of {UNITS[exponent]} since 1970")
    microseconds = EXACT.scaleb(units, exponent).to_integral_value(ROUND_FLOOR, EXACT)
    try:
        return moment.to_text(int(microseconds))
    except OverflowError:
        raise ValueError(f"{excerpt(value)} is not a time within the years 1 to 9999: is it in another unit?") from None


def excerpt(value: Any) -> str:
    """The value as JSON, cut off if it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


CONVERSIONS: Final[Mapping[Conversion, Callable[[Any], Any]]] = {
    "text": text,
    "number": number,
    "seconds": lambda value: time(value, 6),
    "milliseconds": lambda value: time(value, 3),
    "microseconds": lambda value: time(value, 0),
    "nanoseconds": lambda value: time(value, -3),
}


def kind(value: object) -> str:
    """The type of the value in JSON, in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null")
