"""Paths into `data` and `metadata`, and tests of the values that they reach: what a path condition means. No I/O.

A path goes from key to key. In a list, a number is the index of one element, and any other key is looked up in each
object of the list. A list at the end stands for each of its elements, and for itself. A missing value counts as null.
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

INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
COMPARING: Final = 3  # steps to compare with a list or an object; a number or a text takes one
KEY_PARTS: Final = re.compile(r"\\(.)|(\.)|([^\\.]+)|(\\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Path:
    """From `data` or `metadata` along the keys; without keys, all of it."""

    root: Root
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Equals:
    """The value is one of these JSON values. Objects are equal whatever the order of their keys, and 5 equals 5.0."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Compares:
    """The value has the same kind (number, text or boolean) as `than`, and lies on the side that `order` names."""

    order: Order
    than: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Reads:
    """The value is a text that starts with `text`, or contains it."""

    how: Likeness
    text: str


Test: TypeAlias = Equals | Compares | Reads
Spend: TypeAlias = Callable[[int], None]
Tester: TypeAlias = Callable[[Any, Spend], bool]


def keys_of(text: str) -> tuple[str, ...]:
    r"""The keys of a path as people write it: separated by dots, with `\` before a dot or `\` that belongs to a key.

    Empty text has no keys. ValueError when it ends in a single `\`.
    """
    if not text:
        return ()
    keys = [""]
    for escaped, dot, more, dangling in KEY_PARTS.findall(text):
        if dangling:
            raise ValueError(f"{text[:60]!r} ends in a \\ with nothing after it")
        if dot:
            keys.append("")
        else:
            keys[-1] += escaped or more
    return tuple(keys)


def index_of(key: str) -> int | None:
    """The index in a list that the key stands for, if it is a number."""
    return int(key) if INDEX.fullmatch(key) else None


def values_at(event: EventDocument, path: Path, spend: Spend) -> list[Any]:
    """The values at the end of the path. It reports to `spend` how many it will look at."""
    document = cast("Mapping[str, Any]", event)
    values = [document[path.root]] if path.root in document else []
    for key in path.keys:
        spend(len(values))
        values = [value for one in values for value in _step(one, key, spend)]
    return values


def spread(values: Sequence[Any], spend: Spend) -> list[Any]:
    """The values that tests apply to: those at the end of a path, and the elements of lists; null if there are none."""
    if not values:
        return [None]
    spend(sum(len(one) for one in values if isinstance(one, list)))
    return [value for one in values for value in ((*one, one) if isinstance(one, list) else (one,))]


def tester(tests: tuple[Test, ...]) -> Tester:
    """A test of whether a value passes all `tests`. It reports the steps of comparing lists and objects to `spend`."""
    passes = [_tester(test) for test in tests]
    return passes[0] if len(passes) == 1 else lambda value, spend: all(one(value, spend) for one in passes)


def kind(value: object) -> Kind | None:
    """The kind of a value that can be ordered; None for others."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else None


def same(value: Any, other: Any, spend: Spend) -> bool:
    """Whether two JSON values are equal: a boolean is not a number, and the order of keys does not matter."""
    value, other = _plain(value), _plain(other)
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
    value = _plain(value)
    if isinstance(value, dict):
        if key in value:
            yield value[key]
    elif isinstance(value, list):
        if (at := index_of(key)) is None:
            spend(len(value))
            for element in map(_plain, value):
                if isinstance(element, dict) and key in element:
                    yield element[key]
        elif at < len(value):
            yield value[at]


def _among(value: Any, others: Sequence[Any], spend: Spend) -> bool:
    spend(COMPARING * len(others))
    return any(same(value, one, spend) for one in others)


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, DBRef) else value


def _tester(test: Test) -> Tester:
    match test:
        case Equals(values):
            simple = {(kind(one), one) for one in values if not isinstance(one, dict | list)}
            others = [one for one in values if isinstance(one, dict | list)]
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
