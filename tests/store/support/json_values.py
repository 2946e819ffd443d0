"""JSON of every kind, from a random generator or hypothesis, small enough that values, keys and paths often meet."""

import random
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from eventscope.store.filters.filter import Exists, Filter, Holds, Not
from eventscope.store.filters.paths import Compares, Equals, Path, Reads, Test

KEYS: Final = ("a", "b", "items", "ü", "0", "1", "00", "$a", "$where", "a.b", "", "a\\b", "$ref", "$id")
LIKELY: Final = ("a", "b", "items", "0")
NUMBERS: Final = (0, -0.0, 1, 1.0, 1.5, -1, 2, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63), 1e308, 9.3e18)
TEXTS: Final = (
    "",
    "a",
    "b",
    "ab",
    "abc",
    "a.b",
    "a\nb",
    "A",
    "ü",
    "🦉",
    "^a",
    "$a",
    ".*",
    "\\",
    "a\0b",
    "\0",
    "1",
    "null",
)
DATES: Final = ("2026-11-23T07:00:00Z", "2026-11-23T08:00:00+01:00")
SCALARS: Final[tuple[Any, ...]] = (None, True, False, *NUMBERS, *TEXTS, *DATES)


def some_json(chance: random.Random, depth: int = 4) -> Any:
    """A random value; the same for the same generator state."""
    kind = chance.random()
    if depth == 0 or kind < 0.35:
        return chance.choice(SCALARS)
    if kind < 0.6:
        return [some_json(chance, depth - 1) for _ in range(chance.choice([0, 1, 2, 2, 3]))]
    keys = [chance.choice(KEYS if chance.random() < 0.3 else LIKELY) for _ in range(chance.choice([0, 1, 2, 3]))]
    return {key: some_json(chance, depth - 1) for key in keys}


@cache
def json_values() -> st.SearchStrategy[Any]:
    scalars = st.sampled_from(SCALARS)
    keys = st.sampled_from(KEYS)
    return st.recursive(
        scalars,
        lambda parts: st.lists(parts, max_size=3) | st.dictionaries(keys, parts, max_size=3),
        max_leaves=5,
    )


def parts_of(value: Any) -> list[Any]:
    """The value and everything in it."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(part for one in inside for part in parts_of(one))]


def shuffled(value: Any) -> Any:
    """The same value with the keys of its objects in reverse order."""
    if isinstance(value, dict):
        return {key: shuffled(member) for key, member in reversed(value.items())}
    return [shuffled(one) for one in value] if isinstance(value, list) else value


def paths() -> st.SearchStrategy[Path]:
    keys = st.lists(st.sampled_from((*LIKELY, *LIKELY, *KEYS)), max_size=4).map(tuple)
    return st.builds(Path, st.sampled_from(["data", "metadata"]), keys)


def tests(known: list[Any]) -> st.SearchStrategy[Test]:
    """Tests of values; `known` are some values that exist."""
    some = json_values() | st.sampled_from(known) | st.sampled_from(known).map(shuffled)
    comparable = st.sampled_from([value for value in SCALARS if value is not None])
    return st.one_of(
        st.lists(some, min_size=1, max_size=4).map(lambda several: Equals(tuple(several))),
        st.builds(Equals, st.tuples(st.sampled_from(SCALARS))),
        st.builds(Compares, st.sampled_from(["gt", "gte", "lt", "lte"]), comparable),
        st.builds(Reads, st.sampled_from(["startsWith", "contains"]), st.sampled_from(TEXTS)),
    )


def path_conditions(known: list[Any]) -> st.SearchStrategy[Filter]:
    """Conditions of every kind on what events contain."""
    several = st.lists(tests(known), min_size=1, max_size=3).map(tuple)
    holds = st.builds(Holds, paths(), several)
    return st.one_of(
        holds, st.builds(Holds, paths(), st.tuples(tests(known))), holds.map(Not), st.builds(Exists, paths())
    )
