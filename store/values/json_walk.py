"""The first part of a value for which something holds, in the order in which it is written as JSON. No I/O."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeVar

T = TypeVar("T")

MOST_PLACE: Final = 200  # characters


def first(value: Any, found: Callable[[Any], T | None], passed: frozenset[type]) -> tuple[T, str] | None:
    """What `found` says of the first part of which it says something, and the place; None when there is no such part.

    Parts whose type is in `passed` are not asked about. Only in the end the place is made up: one for each part would
    take most of the time.
    """
    path: list[str | int] = []
    levels: list[Iterator[tuple[str | int, Any]]] = [iter([("", value)])]
    seen: set[int] = set()
    while levels:
        for key, one in levels[-1]:
            if type(one) in passed:
                continue
            if (what := found(one)) is not None:
                return what, _place([*path, key][1:])
            if one and id(one) not in seen and (members := _members(one)) is not None:  # a list may hold itself
                seen.add(id(one))
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
    """What is in a value, as orjson writes it; None for what has no parts."""
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
