"""Filters: which events match, as data. One closed union for stored and for live events."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, assert_never

from eventscope.store.filters.inspection import LETTERS, Inspection
from eventscope.store.filters.paths import Path, Spend, Test, tester
from eventscope.store.filters.step_limit import STEPS
from eventscope.store.values.documents import EventDocument

Field = Literal["aggregateType", "aggregateId", "userId", "correlationId", "causationId"]
Measure = Literal["timestamp", "position", "version"]


@dataclass(frozen=True, slots=True)
class Ids:
    """The events with one of these message ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypePatterns:
    """The events of one of these types. `*` in a pattern stands for any text: `user.*` matches `user.created`."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Among:
    """The events whose field is one of these values."""

    field: Field
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """The events whose measure lies in a range that includes both ends; None leaves an end open."""

    measure: Measure
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class All:
    """The events that match every one of the filters; without filters, all events."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Any_:
    """The events that match at least one of the filters; without filters, no event."""

    filters: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The events that do not match the filter."""

    filter: "Filter"


@dataclass(frozen=True, slots=True)
class Holds:
    """The events in which the path reaches a value that passes all of the tests."""

    path: Path
    tests: tuple[Test, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The events in which the path reaches any value, even null."""

    path: Path


Filter: TypeAlias = Ids | TypePatterns | Among | Between | All | Any_ | Not | Holds | Exists

EVERYTHING: Final = All(())
NOTHING: Final = Any_(())
STARS: Final = re.compile(r"\*+")  # several in a row mean the same as one
CACHE_SIZE: Final = 256  # types for which a tester remembers the result
KEYS: Final = {"timestamp": "timestamp", "position": "_id", "version": "version"}
Matcher: TypeAlias = Callable[[Inspection], bool]


def is_pattern(type: str) -> bool:
    """Whether the text has a wildcard, and so may match several types."""
    return "*" in type


def literal_prefix(pattern: str) -> str:
    """The text before the first wildcard: every matching type starts with it."""
    return pattern.partition("*")[0]


def fits(pattern: str) -> Callable[[str], bool]:
    """A test of whether a text matches the pattern. It searches piece after piece, so it takes linear time."""
    if not is_pattern(pattern):
        return pattern.__eq__
    first, *middle, last = STARS.split(pattern)

    def test(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for piece in middle:
            start = text.find(piece, at, end)
            if start < 0:
                return False
            at = start + len(piece)
        return True

    return test


def pattern_regex(pattern: str) -> str:
    """The same as a regular expression for MongoDB, with its option `s`.

    Each piece matches where it first occurs, without backtracking, which would find nothing more and, with many stars,
    would take too long.
    """
    first, *middle, last = map(re.escape, STARS.split(pattern))
    return f"^{first}" + "".join(f"(?>.*?{piece})" for piece in middle) + f".*{last}\\z"


def matcher(filter: Filter) -> Matcher:
    """The filter as a function of an inspected event; it raises TooManySteps when the event takes too many steps."""
    match filter:
        case Ids(ids):
            accepted_ids = frozenset(ids)
            return lambda look: look.event["messageId"] in accepted_ids
        case TypePatterns(patterns):
            means_type = type_tester(patterns)
            return lambda look: means_type(look.event["type"], look.spend)
        case Among(field, texts):
            among = frozenset(texts)
            return lambda look: look.event.get(field) in among
        case Between(measure, low, high):
            key = KEYS[measure]
            return lambda look: _lies(look.event.get(key), low, high)
        case All(filters):
            parts = [matcher(part) for part in filters]
            return lambda look: all(part(look) for part in parts)
        case Any_(filters):
            ways = [matcher(way) for way in filters]
            return lambda look: any(way(look) for way in ways)
        case Not(inner):
            means = matcher(inner)
            return lambda look: not means(look)
        case Holds(path, tests):
            return _holds(path, tests)
        case Exists(path):
            return lambda look: bool(look.values_at(path))
        case _:
            assert_never(filter)


def matching(matches: Matcher, events: Iterable[EventDocument]) -> Iterator[EventDocument]:
    """Those of the events that match; TooManySteps when all of them together take too many steps."""
    steps = STEPS
    for event in events:
        look = Inspection(event, steps)
        if matches(look):
            yield event
        steps = look.steps - 1


def type_tester(patterns: Sequence[str]) -> Callable[[str, Spend], bool]:
    """A test of whether a type matches one of the patterns. It reports its steps to `spend` before it takes them."""
    exact = frozenset(p for p in patterns if not is_pattern(p))
    shapes = [fits(p) for p in patterns if is_pattern(p)]
    pieces = sum(p.count("*") + 1 for p in patterns if is_pattern(p))
    results: dict[str, bool] = {}

    def means(type: str, spend: Spend) -> bool:
        if type in exact:
            return True
        result = results.get(type)
        if result is None:
            spend(pieces + len(shapes) * (len(type) // LETTERS))
            if len(results) >= CACHE_SIZE:
                results.clear()
            result = results[type] = any(fit(type) for fit in shapes)
        return result

    return means


def _holds(path: Path, tests: tuple[Test, ...]) -> Matcher:
    passes = tester(tests)

    def means(look: Inspection) -> bool:
        values, steps = look.values(path)
        look.spend(steps * len(tests))
        spend = look.spend
        return any(passes(value, spend) for value in values)

    return means


def _lies(value: object, low: int | None, high: int | None) -> bool:
    return isinstance(value, int) and (low is None or low <= value) and (high is None or value <= high)


def conditions(filter: Filter) -> list[Filter]:
    """The parts of the filter that must all match, with nested `All`s flattened."""
    if isinstance(filter, All):
        return [leaf for part in filter.filters for leaf in conditions(part)]
    return [filter]
