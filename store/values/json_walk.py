"""Searches the parts of a value in the order in which it is written as JSON. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_PLACE: Final = 200  # characters


def first(value: Any, check: Callable[[Any], T | None], skipped: frozenset[type]) -> tuple[T, str] | None:
    """The first result of `check` on a part that is not None, with the place of the part; None if there is none.

    Parts whose type is in `skipped` are not checked. The place is only composed for the result: doing it for each part
    would take most of the time.
    """
    path: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [iter([("", value)])]
    visited: set[int] = set()
    while levels:
        for key, one in levels[-1]:
            if type(one) in skipped:
                continue
            if (result := check(one)) is not None:
                return result, _place([*path, key][1:])
            if one and id(one) not in visited and (members := _members(one)) is not None:  # a list may contain itself
                visited.add(id(one))
                path.append(key)
                levels.append(members)
                break
        else:
            levels.pop()
            del path[-1:]
    return None


def step(place: str, key: str | int) -> str:
    """The place of a member: `items`, then `items[2]`, then `items[2].price`."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


def _place(path: Sequence[str | int]) -> str:
    place = ""
    for key in path:
        place = step(place, key)[:MOST_PLACE]
    return place


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
