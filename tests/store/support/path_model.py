"""What path conditions mean, computed in another way: every place in a JSON value is listed with its path."""

from collections.abc import Iterator
from typing import Any

import orjson

from eventscope.store.filters.paths import Compares, Equals, Path, Reads, Test
from eventscope.store.values.documents import plain

Step = tuple[str, Any]  # ("key", name), ("element", place), or ("member of an element", (place, name))


def reaches(document: Any, path: Path) -> list[Any]:
    """The values at the end of the path."""
    whole = orjson.loads(orjson.dumps(document, default=plain))
    if path.root not in whole:
        return []
    return [value for keys, value in _places(whole[path.root]) if keys == path.keys]


def passes(document: Any, path: Path, tests: tuple[Test, ...]) -> bool:
    """Whether one of the values passes all the tests."""
    found = reaches(document, path)
    candidates = [one for value in found for one in ([value, *value] if type(value) is list else [value])]
    return any(all(_passes(value, test) for test in tests) for value in (candidates if found else [None]))


def _places(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Everything in the value, each part with the keys that lead there."""
    yield (), value
    if type(value) is dict:
        for name, member in value.items():
            for keys, inner in _places(member):
                yield (name, *keys), inner
    if type(value) is list:
        for place, element in enumerate(value):
            for keys, inner in _places(element):
                yield (str(place), *keys), inner
                if type(element) is dict and keys and not _is_place(keys[0]):
                    yield keys, inner


def _is_place(key: str) -> bool:
    return key.isascii() and key.isdigit() and str(int(key)) == key


def _passes(value: Any, test: Test) -> bool:
    match test:
        case Equals(wanted):
            return any(_canonical(value) == _canonical(one) for one in wanted)
        case Compares(order, than):
            if _kind(value) != _kind(than):
                return False
            less, equal = value < than, value == than
            return bool({"lt": less, "lte": less or equal, "gt": not (less or equal), "gte": not less}[order])
        case Reads(how, text):
            place = value.find(text) if type(value) is str else -1
            return bool(place == 0 if how == "startsWith" else place >= 0)


def _canonical(value: Any) -> Any:
    if type(value) is dict:
        return {name: _canonical(member) for name, member in value.items()}
    if type(value) is list:
        return [_canonical(one) for one in value]
    return (_kind(value), value)


def _kind(value: Any) -> str:
    return {int: "number", float: "number"}.get(type(value), type(value).__name__)
