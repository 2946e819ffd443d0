"""Constants of a mapping, which must be such as a message could hold. No I/O."""

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any, Final

SHOWN: Final = 40
LONGEST: Final = len(str(-(2**63)))
MOST_DEPTH: Final = 99  # within data, as in messages


def check(value: Any, at: str) -> None:
    """ValueError unless the constant can be kept as what it says, as is asked of messages."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{at}: the constant holds half of a character, which no text has") from None
    _check_members(value, at, MOST_DEPTH)


def _check_members(value: Any, at: str, depth: int) -> None:
    if depth < 0:
        raise ValueError(f"{at}: the constant is nested over {MOST_DEPTH} deep")
    if isinstance(value, _Lossy):
        raise ValueError(f"{at}: {value.fault}")
    for key in value if isinstance(value, dict) else ():
        if "\0" in key:
            raise ValueError(f"{at}: the constant has the key {key[:60]!r} with a NUL, which MongoDB cannot keep")
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_members(member, at, depth - 1)


class _Lossy(float):
    """A number that cannot be kept as what it says, and why."""

    fault: str


def decimal(text: str) -> float:
    """The decimal as it is read, or what stands for one that no float equals until its place is known."""
    value = float(text)
    if not isfinite(value):
        return _lossy(f"the number {text[:SHOWN]} is beyond what a 64-bit float can hold")
    if value == 0:
        is_kept = not re.search("[1-9]", re.split("[eE]", text)[0])
    else:
        is_kept = Decimal(text) in (Decimal(repr(value)), Decimal(value))
    return value if is_kept else _lossy(f"the number {text[:SHOWN]} would be changed to {value!r}")


def integer(text: str) -> float:
    """The integer as it is read, or what stands for one that is too large until its place is known."""
    if len(text) <= LONGEST and -(2**63) <= int(text) < 2**63:
        return int(text)
    return _lossy(f"the integer {text[:SHOWN]} does not fit into 64 bits")


def _lossy(fault: str) -> _Lossy:
    lossy = _Lossy()
    lossy.fault = fault
    return lossy
