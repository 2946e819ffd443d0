"""Searches the parts of a value in the order in which it is written as JSON. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_PATH: Final = 200  # characters


def first(value: Any, check: Callable[[Any], T | None], skipped: frozenset[type]) -> tuple[T, str] | None:
    """The first result of `check` on a part that is not None, with the path to the part; None if there is none.

    Parts whose type is in `skipped` are not checked. The path is only composed for the result: doing it for each part
    would take most of the time.
    """
    keys: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [iter([("", value)])]
    visited: set[int] = set()
    while levels:
        for key, one in levels[-1]:
            if type(one) in skipped:
                continue
            if (result := check(one)) is not None:
                return result, _path([*keys, key][1:])
            if one and id(one) not in visited and (members := _members(one)) is not None:  # a list may contain itself
                visited.add(id(one))
                keys.append(key)
                levels.append(members)
                break
        else:
            levels.pop()
            del keys[-1:]
    return None


def step(path: str, key: str | int) -> str:
    """The path to a member: `items`, then `items[2]`, then `items[2].price`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _path(keys: Sequence[str | int]) -> str:
    path = ""
    for key in keys:
        path = step(path, key)[:MOST_PATH]
    return path


def _members(value: Any) -> Iterator[tuple[str | int, Any]] | None:
    """The parts of a value as orjson writes it; None if it has none."""
    match value:
        case list() | tuple():
            return enumerate(value)
        case dict():
            return iter(value.items())
        case Enum():
            return _members(value.value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return ((field.name, getattr(value, field.name, None)) for field in fields(value))
    return None
