"""Checks constants in a mapping: they must obey the rules for values in messages. No I/O."""

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any, Final

QUOTED: Final = 40  # characters of a number that an error quotes
LONGEST: Final = len(str(-(2**63)))
MOST_DEPTH: Final = 99  # of nesting within data, the same as in messages


def check(value: Any, at: str) -> None:
    """Raise ValueError unless the constant can be stored without loss, as is required of messages."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{at}: the constant contains half of a character, which is not valid text") from None
    _check_members(value, at, MOST_DEPTH)


def _check_members(value: Any, at: str, depth: int) -> None:
    if depth < 0:
        raise ValueError(f"{at}: the constant is nested over {MOST_DEPTH} deep")
    if isinstance(value, _Lossy):
        raise ValueError(f"{at}: {value.fault}")
    for key in value if isinstance(value, dict) else ():
        if "\0" in key:
            raise ValueError(f"{at}: the constant has the key {key[:60]!r} with a NUL, which MongoDB cannot store")
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_members(member, at, depth - 1)


class _Lossy(float):
    """Stands for a number that cannot be stored without loss, and says why."""

    fault: str


def decimal(text: str) -> float:
    """Parse a decimal; return a `_Lossy` if no float equals it: its place, which the error names, is not known yet."""
    value = float(text)
    if not isfinite(value):
        return _lossy(f"the number {text[:QUOTED]} is beyond what a 64-bit float can hold")
    if value == 0:
        is_exact = not re.search("[1-9]", re.split("[eE]", text)[0])
    else:
        is_exact = Decimal(text) in (Decimal(repr(value)), Decimal(value))
    return value if is_exact else _lossy(f"the number {text[:QUOTED]} would be changed to {value!r}")


def integer(text: str) -> float:
    """Parse an integer; return a `_Lossy` if it is too large: its place, which the error names, is not known yet."""
    if len(text) <= LONGEST and -(2**63) <= int(text) < 2**63:
        return int(text)
    return _lossy(f"the integer {text[:QUOTED]} does not fit into 64 bits")


def _lossy(fault: str) -> _Lossy:
    lossy = _Lossy()
    lossy.fault = fault
    return lossy
