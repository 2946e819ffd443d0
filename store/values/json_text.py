"""JSON text: read and written without silent changes, or refused with the path to the fault. No I/O.

orjson parses a text; a cheap check of its bytes shows whether it may hold a number that orjson would round or a key
that it would drop. Only then is the text parsed again, exactly and slowly.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import is_dataclass
from decimal import Decimal
from enum import Enum
from math import isfinite, isinf
from typing import Any, Final

import orjson

from eventscope.store.values import json_walk

INT64: Final = range(-(2**63), 2**63)

# translates bytes: digits and points become 0, e and E become e, minus stays, all else becomes a blank
SHAPE: Final = bytes(
    ord("0") if char in b"0123456789." else ord("e") if char in b"eE" else char if char == ord("-") else ord(" ")
    for char in range(256)
)
# only runs of 17 digits and points need a check: decimals of up to 15 digits survive as floats, as do integers below
# 2**63
LONG: Final = b"0" * 17
EXPONENT: Final = b"0e"
LONG_WITH_EXPONENT: Final = b"0" * 16 + b"e"
LONG_NUMBER: Final = re.compile(rb"[0-9][0-9.]{15,}(?:[eE][-+]?[0-9]+)?")
LONGEST_INT: Final = 18
SHORT: Final = 16  # characters; with a point or an exponent among them, at most 15 digits
# Very small floats hold fewer than 15 digits. A number that small is long, with all its zeros, or has an exponent of
# three digits.
SMALL: Final = b"0e-000"
# with what may follow a number, since hexadecimal ids are full of such exponents
SMALL_NUMBER: Final = re.compile(rb"[0-9][eE]-[0-9]{3,}(?:[\s,\]}]|\Z)")
ESCAPED_COLON: Final = re.compile(rb"\\u003[aA]")

LONG_INTEGER: Final = "does not fit into 64 bits; send it as text"
MOST_QUOTED: Final = 40
LEAVES: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})
NEVER_WRONG: Final[frozenset[type]] = frozenset({bool, type(None)})
MOST_DIGITS: Final = 4000  # of an integer of any size: Python refuses to parse more than 4300


class Fault(ValueError):
    """Why a text is not valid here.

    Codes: INVALID_JSON, TOO_DEEP, NUMBER_TOO_PRECISE, INTEGER_TOO_LARGE and DUPLICATE_KEY. `path` leads to the value
    from the root, as in `data.items[2].price`.
    """

    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(_text(message))
        self.code = code
        self.path = _text(path)


class _Mark:
    """A placeholder for a value that the exact parser cannot accept."""

    def __init__(self, code: str, what: str, why: str = "") -> None:
        self.code = code
        self.what = what
        self.why = why

    def fault(self, path: str) -> Fault:
        where = f" at {path}" if path else ""
        return Fault(self.code, f"{self.what}{where} {self.why}".rstrip(), path)


class _Twice(_Mark):
    """A placeholder for an object with a duplicate key, which is only searched when the fault is reported."""

    def __init__(self, pairs: Sequence[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def fault(self, path: str) -> Fault:
        twice = next(key for key, times in Counter(key for key, _ in self.pairs).items() if times > 1)
        return _Mark("DUPLICATE_KEY", f"the key {_quoted(twice)!r}", "is given more than once").fault(path)


def loads(raw: bytes, *, any_integer: bool = False) -> Any:
    """The value of a JSON text in UTF-8; Fault when it is not valid, or has no value that equals the text.

    A decimal becomes a float, and must have the same value as the float, either exactly or in its shortest form. An
    integer beyond 64 bits is a fault too, unless `any_integer`: then it is exact.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            raise Fault("TOO_DEEP", "nested too deep") from None
        if not raw.strip():
            raise Fault("INVALID_JSON", "it is empty") from None
        try:
            raw.decode()
        except UnicodeDecodeError as first:
            raise Fault("INVALID_JSON", f"it is not UTF-8 from byte {first.start + 1} on") from None
        # orjson reports a number that is too large as invalid JSON
        value = _exact(raw, str(error), any_integer=any_integer)
        if any_integer and _is_text(value):
            return value
        raise Fault("INVALID_JSON", str(error)) from None
    return _exact(raw, "", any_integer=any_integer) if _may_differ(raw, value) else value


def dumps(value: Any, *, option: int = 0) -> bytes:
    """The JSON text of a value; Fault when no text equals it. `option` is orjson's.

    JSON cannot express NaN and infinities, and the log cannot store integers beyond 64 bits.
    """
    try:
        text = orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise _unwritable(value, option) or Fault("INVALID_JSON", str(error)) from None
    # orjson writes NaN as null
    if (b"null" in text or LONG in text.translate(SHAPE)) and (fault := _unwritable(value, option)):
        raise fault
    return text


def number_fault(text: str, path: str = "") -> Fault | None:
    """A Fault if no float equals the decimal, written as in JSON and GraphQL; else None."""
    mark = _decimal(text)
    return mark.fault(path) if isinstance(mark, _Mark) else None


def integer_fault(text: str, path: str = "") -> Fault | None:
    """A Fault if the integer, written as in JSON and GraphQL, does not fit into 64 bits; else None."""
    mark = _integer(text)
    return mark.fault(path) if isinstance(mark, _Mark) else None


def _may_differ(raw: bytes, value: Any) -> bool:
    shape = raw.translate(SHAPE)
    if (LONG in shape or LONG_WITH_EXPONENT in shape) and not _are_as_short_as_can_be(LONG_NUMBER.findall(raw)):
        return True
    if SMALL in shape and SMALL_NUMBER.search(raw):
        return True
    # Each key has a colon, so if no colon is escaped, a missing one means that orjson dropped a duplicate key.
    if b"\\" in raw and ESCAPED_COLON.search(raw):
        return True
    try:
        return raw.count(b":") != orjson.dumps(value).count(b":")
    except orjson.JSONEncodeError:
        return True  # orjson parses deeper nesting than it writes


def _is_text(value: Any) -> bool:
    """Whether all texts in a value are valid Unicode: Python parses lone surrogates, which orjson refuses."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _are_as_short_as_can_be(numbers: Sequence[bytes]) -> bool:
    """Whether all are floats in their shortest form, or integers that fit: coordinates often have that many digits."""
    try:
        return all(
            len(number) <= LONGEST_INT if number.isdigit() else repr(float(number)).encode() == number
            for number in numbers
        )
    except ValueError:
        return False  # a match within a string may be anything


def _exact(raw: bytes, problem: str, *, any_integer: bool) -> Any:
    marks: list[_Mark] = []

    def register(value: Any) -> Any:
        if isinstance(value, _Mark):
            marks.append(value)
        return value

    # the first fault counts, so numbers after it need not be checked
    def decimal(text: str) -> Any:
        return 0.0 if marks else register(_decimal(text))

    def integer(text: str) -> Any:
        return (
            int(text) if len(text) <= LONGEST_INT else 0 if marks else register(_integer(text, any_integer=any_integer))
        )

    def members(pairs: Sequence[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        return found if len(found) == len(pairs) else register(_Twice(pairs))

    shape = raw.translate(SHAPE)
    is_long = LONG in shape
    try:
        value = json.loads(
            raw.decode(),
            # without hooks Python parses much faster, and exactly if all numbers have few digits
            parse_float=decimal if is_long or EXPONENT in shape else None,
            parse_int=integer if is_long else None,
            parse_constant=lambda name: register(_Mark("INVALID_JSON", name)),
            object_pairs_hook=members,
        )
    except RecursionError:
        raise Fault("TOO_DEEP", "nested too deep") from None
    except ValueError as error:
        raise Fault("INVALID_JSON", problem or str(error)) from None
    if marks:
        found = json_walk.first(value, lambda one: one if isinstance(one, _Mark) else None, LEAVES)
        assert found is not None, "a registered mark must be in the value"
        raise found[0].fault(found[1])
    return value


def _decimal(text: str) -> float | _Mark:
    value = float(text)
    if len(text) <= SHORT and 1e-300 < abs(value) < 1e300:
        return value
    shortest = repr(value)
    if shortest == text:
        return value
    if isinf(value):
        return _too_precise(text, "is beyond what a 64-bit float can hold; send it as text")
    # separately, since the exponents of Decimal are limited
    if value == 0:
        is_exact = not re.search("[1-9]", re.split("[eE]", text)[0])
    else:
        is_exact = Decimal(text) in (Decimal(shortest), Decimal(value))
    return value if is_exact else _too_precise(text, f"would be changed to {shortest}; send it as text")


def _too_precise(text: str, why: str) -> _Mark:
    return _Mark("NUMBER_TOO_PRECISE", f"the number {_quoted(text)}", why)


def _integer(text: str, *, any_integer: bool = False) -> int | _Mark:
    most = MOST_DIGITS if any_integer else len(str(INT64.start))
    if len(text) <= most and (any_integer or int(text) in INT64):
        return int(text)
    return _Mark("INTEGER_TOO_LARGE", f"the integer {_quoted(text)}", LONG_INTEGER)


def _unwritable(value: Any, option: int) -> Fault | None:
    """The first part of a Python value that JSON cannot express."""
    first = json_walk.first(value, lambda one: _wrong(one, option), NEVER_WRONG)
    return None if first is None else first[0].fault(first[1])


def _wrong(value: Any, option: int) -> _Mark | None:
    """What is wrong with the value itself, not with its members."""
    if (type(value) is str and value.isascii()) or (type(value) is int and value in INT64):
        return None
    match value:
        case float() if not isfinite(value):
            return _Mark("INVALID_JSON", "NaN" if value != value else "Infinity" if value > 0 else "-Infinity")
        case int() if value not in INT64:
            digits = str(value) if value.bit_length() < MOST_DIGITS else f"of {value.bit_length()} bits"
            return _Mark("INTEGER_TOO_LARGE", f"the integer {_quoted(digits)}", LONG_INTEGER)
        case dict():
            key_of_other_type = next((key for key in value if type(key) is not str), None)
            if key_of_other_type is None:
                return None
            why = (
                f"is of {type(key_of_other_type).__name__}, a subclass of str"
                if isinstance(key_of_other_type, str)
                else "is not a string"
            )
            return _Mark("INVALID_JSON", f"the key {_quoted(repr(key_of_other_type))}", why)
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
    """The text with lone surrogates escaped: Python parses them in keys, but they cannot be stored."""
    return text.encode(errors="backslashreplace").decode()


def _quoted(text: str) -> str:
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…"
