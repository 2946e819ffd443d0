"""JSON as text: read and written so that nothing is changed in silence, or refused with the place to blame. No I/O.

orjson reads a text; a cheap look at its bytes tells whether it may hold a number that orjson would round or a key that
it would drop. Only then is the text read once more, exactly and slowly.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from math import isfinite, isinf
from typing import Any, Final

import orjson

INT64: Final = range(-(2**63), 2**63)

# the text with each digit and decimal point as 0, each e as e, and all else that no number is made of as a blank
SHAPE: Final = bytes(
    ord("0") if char in b"0123456789." else ord("e") if char in b"eE" else char if char == ord("-") else ord(" ")
    for char in range(256)
)
# up to 15 digits come back as they were, and so do all integers below 2**63: these have no 17 digits and no point
LONG: Final = b"0" * 17
LONG_WITH_EXPONENT: Final = b"0" * 16 + b"e"
LONG_NUMBER: Final = re.compile(rb"[0-9][0-9.]{15,}(?:[eE][-+]?[0-9]+)?")
LONGEST_INT: Final = 18
# nothing but zeros, which make a number long, or an exponent of three digits leads to numbers with fewer digits
SMALL: Final = b"0e-000"
# as it ends outside of texts: ids in hexadecimal are full of such exponents
SMALL_NUMBER: Final = re.compile(rb"[0-9][eE]-[0-9]{3,}(?:[\s,\]}]|\Z)")
ESCAPED_COLON: Final = re.compile(rb"\\u003[aA]")

LONG_INTEGER: Final = "does not fit into 64 bits; send it as text"
MOST_SHOWN: Final = 40
MOST_PLACE: Final = 200
MOST_DIGITS: Final = 4000  # of an integer of any size: Python refuses to read more than 4300


class Fault(ValueError):
    """What a text cannot be taken for.

    Codes: INVALID_JSON, TOO_DEEP, NUMBER_TOO_PRECISE, INTEGER_TOO_LARGE and DUPLICATE_KEY. `place` leads to the value
    from the root, as in `data.items[2].price`.
    """

    def __init__(self, code: str, message: str, place: str = "") -> None:
        super().__init__(_text(message))
        self.code = code
        self.place = _text(place)


class _Mark:
    """Stands where the exact reading met something that cannot be taken."""

    def __init__(self, code: str, what: str, why: str = "") -> None:
        self.code = code
        self.what = what
        self.why = why

    def fault(self, place: str) -> Fault:
        where = f" at {place}" if place else ""
        return Fault(self.code, f"{self.what}{where} {self.why}".rstrip(), place)


def loads(raw: bytes, *, any_integer: bool = False) -> Any:
    """The value of a JSON text in UTF-8; Fault when it has none, or none that equals what the text says.

    A decimal is kept as a float: its digits must be those of the float, written out in full or as short as they tell it
    from all others. An integer beyond 64 bits is a fault too, unless `any_integer`: then it is exact.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise Fault("TOO_DEEP", "nested too deep") from None
        # to orjson a number that is too large is no JSON
        _exact(raw, str(error), any_integer=any_integer)
        raise Fault("INVALID_JSON", str(error)) from None
    return _exact(raw, "", any_integer=any_integer) if _may_differ(raw, value) else value


def dumps(value: Any, *, option: int = 0) -> bytes:
    """The JSON text of a value; Fault when there is none that says the same. `option` is orjson's.

    NaN and infinities have no form in JSON, and integers beyond 64 bits no place in the log.
    """
    try:
        text = orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise _unwritable(value, option) or Fault("INVALID_JSON", str(error)) from None
    # NaN is written as null
    if (b"null" in text or LONG in text.translate(SHAPE)) and (fault := _unwritable(value, option)):
        raise fault
    return text


def number_fault(text: str, place: str = "") -> Fault | None:
    """What is wrong with a decimal as JSON and GraphQL write it: a Fault when no float equals it."""
    mark = _decimal(text)
    return mark.fault(place) if isinstance(mark, _Mark) else None


def integer_fault(text: str, place: str = "") -> Fault | None:
    """What is wrong with an integer as JSON and GraphQL write it: a Fault when it does not fit into 64 bits."""
    mark = _integer(text)
    return mark.fault(place) if isinstance(mark, _Mark) else None


def step(place: str, key: str | int) -> str:
    """The place of a member: `items`, then `items[2]`, then `items[2].price`."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


def _may_differ(raw: bytes, value: Any) -> bool:
    shape = raw.translate(SHAPE)
    if (LONG in shape or LONG_WITH_EXPONENT in shape) and not _are_as_short_as_can_be(LONG_NUMBER.findall(raw)):
        return True
    if SMALL in shape and SMALL_NUMBER.search(raw):
        return True
    # every key has its colon: where none is escaped, one that is missing was dropped with a key that came again
    if b"\\" in raw and ESCAPED_COLON.search(raw):
        return True
    try:
        return raw.count(b":") != orjson.dumps(value).count(b":")
    except orjson.JSONEncodeError:
        return True  # what is nested deep is read and not written


def _are_as_short_as_can_be(numbers: Sequence[bytes]) -> bool:
    """Whether all are such as floats are usually written, or integers that fit: coordinates often are that long."""
    try:
        return all(
            len(number) <= LONGEST_INT if number.isdigit() else repr(float(number)).encode() == number
            for number in numbers
        )
    except ValueError:
        return False  # within a text there may be anything


def _exact(raw: bytes, problem: str, *, any_integer: bool) -> Any:
    marks: list[_Mark] = []

    def marked(found: Any) -> Any:
        if isinstance(found, _Mark):
            marks.append(found)
        return found

    try:
        value = json.loads(
            raw.decode(),
            parse_float=lambda text: marked(_decimal(text)),
            parse_int=lambda text: marked(_integer(text, any_integer=any_integer)),
            parse_constant=lambda name: marked(_Mark("INVALID_JSON", name)),
            object_pairs_hook=lambda pairs: marked(_object(pairs)),
        )
    except RecursionError:
        raise Fault("TOO_DEEP", "nested too deep") from None
    except ValueError as error:
        raise Fault("INVALID_JSON", problem or str(error)) from None
    if marks:
        raise _first(value)
    return value


def _decimal(text: str) -> float | _Mark:
    value = float(text)
    shown = repr(value)
    if shown == text:
        return value
    if isinf(value):
        return _too_precise(text, "is beyond what a 64-bit float can hold; send it as text")
    # apart, since a Decimal has no exponents of any size
    if value == 0:
        is_kept = not re.search("[1-9]", re.split("[eE]", text)[0])
    else:
        is_kept = Decimal(text) in (Decimal(shown), Decimal(value))
    return value if is_kept else _too_precise(text, f"would be changed to {shown}; send it as text")


def _too_precise(text: str, why: str) -> _Mark:
    return _Mark("NUMBER_TOO_PRECISE", f"the number {_shown(text)}", why)


def _integer(text: str, *, any_integer: bool = False) -> int | _Mark:
    most = MOST_DIGITS if any_integer else len(str(INT64.start))
    if len(text) <= most and (any_integer or int(text) in INT64):
        return int(text)
    return _Mark("INTEGER_TOO_LARGE", f"the integer {_shown(text)}", LONG_INTEGER)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any] | _Mark:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
    return _Mark("DUPLICATE_KEY", f"the key {_shown(twice)!r}", "is given more than once")


def _first(value: Any) -> Fault:
    """The fault that comes first in the text."""
    return next(one.fault(place) for place, one in _places(value) if isinstance(one, _Mark))


def _unwritable(value: Any, option: int) -> Fault | None:
    """The first thing in a value of Python that JSON has no form for."""
    return next((mark.fault(place) for place, one in _places(value) if (mark := _wrong(one, option))), None)


def _places(value: Any) -> Iterator[tuple[str, Any]]:
    """The value and all that is in it, in the order in which it is written, each with its place."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    while waiting:
        place, one = waiting.pop()
        yield place, one
        if id(one) not in seen:  # a list may hold itself
            seen.add(id(one))
            waiting += reversed([(step(place, key)[:MOST_PLACE], member) for key, member in _members(one)])


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    """What is in a value, as orjson writes it."""
    match value:
        case dict():
            yield from value.items()
        case list() | tuple():
            yield from enumerate(value)
        case Enum():
            yield from _members(value.value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            yield from ((field.name, getattr(value, field.name, None)) for field in fields(value))


def _wrong(value: Any, option: int) -> _Mark | None:
    """What is wrong with a value, apart from its members."""
    match value:
        case float() if not isfinite(value):
            return _Mark("INVALID_JSON", "NaN" if value != value else "Infinity" if value > 0 else "-Infinity")
        case int() if value not in INT64:
            digits = str(value) if value.bit_length() < MOST_DIGITS else f"of {value.bit_length()} bits"
            return _Mark("INTEGER_TOO_LARGE", f"the integer {_shown(digits)}", LONG_INTEGER)
        case dict():
            wrong = next((key for key in value if type(key) is not str), None)
            if wrong is None:
                return None
            why = f"is of {type(wrong).__name__}, a subclass of str" if isinstance(wrong, str) else "is not a string"
            return _Mark("INVALID_JSON", f"the key {_shown(repr(wrong))}", why)
        case Enum():
            return _wrong(value.value, option)
        case list() | tuple():
            return None
        case _ if is_dataclass(value):
            return None
    try:
        orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        return _Mark("INVALID_JSON", str(error))
    return None


def _text(text: str) -> str:
    """The text with halves of characters, which Python reads in keys and nobody can store, as they are escaped."""
    return text.encode(errors="backslashreplace").decode()


def _shown(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
