"""Paths into `data` and `metadata`, and tests of the values that they reach: what a path condition means. No I/O.

A path goes from key to key. In a list, a number is the place of one element, and any other key is looked up in each
of the objects. A list at the end stands for each of its elements, and for itself. What is missing counts as null.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, assert_never, cast

from bson import DBRef

from eventscope.store.documents import Event, plain

Root = Literal["data", "metadata"]
Order = Literal["gt", "gte", "lt", "lte"]
Likeness = Literal["startsWith", "contains"]
Kind = Literal["number", "text", "boolean"]

PLACE: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
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
Tester: TypeAlias = Callable[[Any], bool]


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


def reached(event: Event, path: Path) -> list[Any]:
    """The values at the end of the path."""
    document = cast("Mapping[str, Any]", event)
    found = [document[path.root]] if path.root in document else []
    for key in path.keys:
        found = [value for one in found for value in _step(one, key)]
    return found


def values(event: Event, path: Path) -> list[Any]:
    """What tests are made of: all that the path reaches, and the elements of lists; null where it reaches nothing."""
    found = reached(event, path)
    if not found:
        return [None]
    return [value for one in found for value in ((*one, one) if isinstance(one, list) else (one,))]


def tester(tests: tuple[Test, ...]) -> Tester:
    """Whether a value passes all of the tests."""
    passes = [_tester(test) for test in tests]
    return passes[0] if len(passes) == 1 else lambda value: all(one(value) for one in passes)


def kind(value: object) -> Kind | None:
    """The kind of a value that has an order among its like."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def same(value: Any, other: Any) -> bool:
    """Whether two JSON values are the same: no boolean is a number, and keys have no order."""
    value, other = _opened(value), _opened(other)
    if isinstance(value, dict):
        return (
            isinstance(other, dict)
            and value.keys() == other.keys()
            and all(same(member, other[key]) for key, member in value.items())
        )
    if isinstance(value, list):
        return isinstance(other, list) and len(value) == len(other) and all(map(same, value, other))
    return kind(value) == kind(other) and bool(value == other)


def _step(value: Any, key: str) -> Iterator[Any]:
    value = _opened(value)
    if isinstance(value, dict):
        if key in value:
            yield value[key]
    elif isinstance(value, list):
        if (at := place(key)) is None:
            for element in map(_opened, value):
                if isinstance(element, dict) and key in element:
                    yield element[key]
        elif at < len(value):
            yield value[at]


def _opened(value: Any) -> Any:
    return plain(value) if isinstance(value, DBRef) else value


def _tester(test: Test) -> Tester:
    match test:
        case Equals(wanted):
            simple = {(kind(one), one) for one in wanted if not isinstance(one, dict | list)}
            others = [one for one in wanted if isinstance(one, dict | list)]
            return lambda value: (
                any(same(value, one) for one in others)
                if isinstance(value, dict | list | DBRef)
                else (kind(value), value) in simple
            )
        case Compares("gt", than):
            return lambda value: kind(value) == kind(than) and value > than
        case Compares("gte", than):
            return lambda value: kind(value) == kind(than) and value >= than
        case Compares("lt", than):
            return lambda value: kind(value) == kind(than) and value < than
        case Compares("lte", than):
            return lambda value: kind(value) == kind(than) and value <= than
        case Reads("startsWith", text):
            return lambda value: isinstance(value, str) and value.startswith(text)
        case Reads("contains", text):
            return lambda value: isinstance(value, str) and text in value
        case Compares() | Reads():
            raise AssertionError(test)
        case _:
            assert_never(test)
