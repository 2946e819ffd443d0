"""Paths into `data` and `metadata`, and tests of the values that they reach: what a path condition means. No I/O.

A path goes from key to key. In a list, a number is the place of one element, and any other key is looked up in each
of the objects. A list at the end stands for each of its elements, and for itself. What is missing counts as null.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never, cast

from bson import DBRef

from eventscope.store.values.documents import EventDocument, plain

Root = Literal["data", "metadata"]
Order = Literal["gt", "gte", "lt", "lte"]
Likeness = Literal["startsWith", "contains"]
Kind = Literal["number", "text", "boolean"]

PLACE: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
COMPARING: Final = 3  # times the work that testing a number or a text is
ESCAPED: Final = re.compile(r"\\(.)|(\.)|([^\\.]+)|(\\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Path:
    """From `data` or `metadata` along the keys; with no keys it is the whole of it."""

    root: Root
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Equals:
    """The value is one of these JSON values. Objects are equal whatever the order of their keys, and 5 equals 5.0."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compares:
    """The value is of the same kind (a number, a text or a boolean) and lies on that side of the other one."""

    order: Order
    than: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Reads:
    """The value is a text that starts with, or contains, the other one."""

    how: Likeness
    text: str


Test: TypeAlias = Equals | Compares | Reads
Spend: TypeAlias = Callable[[int], None]
Tester: TypeAlias = Callable[[Any, Spend], bool]


def keys_of(text: str) -> tuple[str, ...]:
    r"""The keys of a path as people write it: parted by dots, with `\` before a dot or `\` that belongs to a key.

    No text is no key. ValueError when a `\` has nothing behind it.
    """
    if not text:
        return ()
    keys = [""]
    for escaped, dot, more, dangling in ESCAPED.findall(text):
        if dangling:
            raise ValueError(f"{text[:60]!r} ends in a \\ with nothing behind it")
        if dot:
            keys.append("")
        else:
            keys[-1] += escaped or more
    return tuple(keys)


def place(key: str) -> int | None:
    """The place in a list that the key names, if it names one."""
    return int(key) if PLACE.fullmatch(key) else None


def reached(event: EventDocument, path: Path, spend: Spend) -> list[Any]:
    """The values at the end of the path; `spend` hears how many were looked at, before they are."""
    document = cast("Mapping[str, Any]", event)
    found = [document[path.root]] if path.root in document else []
    for key in path.keys:
        spend(len(found))
        found = [value for one in found for value in _step(one, key, spend)]
    return found


def spread(found: Sequence[Any], spend: Spend) -> list[Any]:
    """What tests are made of: all that a path reached, and the elements of lists; null where it reached nothing."""
    if not found:
        return [None]
    spend(sum(len(one) for one in found if isinstance(one, list)))
    return [value for one in found for value in ((*one, one) if isinstance(one, list) else (one,))]


def tester(tests: tuple[Test, ...]) -> Tester:
    """Whether a value passes all of the tests; of comparing lists and objects, `spend` hears how much work it is."""
    passes = [_tester(test) for test in tests]
    return passes[0] if len(passes) == 1 else lambda value, spend: all(one(value, spend) for one in passes)


def kind(value: object) -> Kind | None:
    """The kind of a value that has an order among its like."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def same(value: Any, other: Any, spend: Spend) -> bool:
    """Whether two JSON values are the same: no boolean is a number, and keys have no order."""
    value, other = _opened(value), _opened(other)
    if isinstance(value, dict):
        if not isinstance(other, dict) or len(value) != len(other):
            return False
        spend(2 * COMPARING * len(value))
        return value.keys() == other.keys() and all(same(member, other[key], spend) for key, member in value.items())
    if isinstance(value, list):
        if not isinstance(other, list) or len(value) != len(other):
            return False
        spend(COMPARING * len(value))
        return all(same(one, another, spend) for one, another in zip(value, other, strict=True))
    return kind(value) == kind(other) and bool(value == other)


def _step(value: Any, key: str, spend: Spend) -> Iterator[Any]:
    value = _opened(value)
    if isinstance(value, dict):
        if key in value:
            yield value[key]
    elif isinstance(value, list):
        if (at := place(key)) is None:
            spend(len(value))
            for element in map(_opened, value):
                if isinstance(element, dict) and key in element:
                    yield element[key]
        elif at < len(value):
            yield value[at]


def _among(value: Any, others: Sequence[Any], spend: Spend) -> bool:
    spend(COMPARING * len(others))
    return any(same(value, one, spend) for one in others)


def _opened(value: Any) -> Any:
    return plain(value) if isinstance(value, DBRef) else value


def _tester(test: Test) -> Tester:
    match test:
        case Equals(wanted):
            simple = {(kind(one), one) for one in wanted if not isinstance(one, dict | list)}
            others = [one for one in wanted if isinstance(one, dict | list)]
            return lambda value, spend: (
                _among(value, others, spend)
                if isinstance(value, dict | list | DBRef)
                else (kind(value), value) in simple
            )
        case Compares("gt", than):
            return lambda value, spend: kind(value) == kind(than) and value > than
        case Compares("gte", than):
            return lambda value, spend: kind(value) == kind(than) and value >= than
        case Compares("lt", than):
            return lambda value, spend: kind(value) == kind(than) and value < than
        case Compares("lte", than):
            return lambda value, spend: kind(value) == kind(than) and value <= than
        case Reads("startsWith", text):
            return lambda value, spend: isinstance(value, str) and value.startswith(text)
        case Reads("contains", text):
            return lambda value, spend: isinstance(value, str) and text in value
        case Compares() | Reads():
            raise AssertionError(test)
        case _:
            assert_never(test)
