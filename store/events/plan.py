"""Makes a filter concrete for this log: type patterns become names, time ranges become positions.

With a type pattern, MongoDB would have to sort all matches, and no index is in the order of timestamps. The rollups
know all types, and the positions between which each hour lies. They are written in the same transaction as the events,
so they are complete up to any head that was read before. A pattern that matches too many types to list remains a
pattern, and the log is scanned for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventscope.store.events import time_span, types
from eventscope.store.filters.filter import (
    NOTHING,
    All,
    Among,
    Any_,
    Between,
    Field,
    Filter,
    Holds,
    Ids,
    Not,
    TypePatterns,
    conditions,
    is_pattern,
    type_tester,
)
from eventscope.store.filters.mongo_paths import dotted
from eventscope.store.filters.paths import Equals
from eventscope.store.filters.step_limit import StepLimit, TooManySteps
from eventscope.store.log import Log

# of the names of types in one filter: MongoDB accepts queries up to 16 MiB, and some parts are repeated
MOST_CHARACTERS: Final = 64 * 1024
MOST_SPANS: Final = 16  # each is a separate read; further time ranges match by timestamps alone
NAMES: Final[Sequence[Field]] = (
    "correlationId",
    "causationId",
    "aggregateId",
    "userId",
)  # the one with the fewest events per value first

Spans: TypeAlias = Mapping[Between, tuple[int, int] | None]


async def concrete(log: Log, filter: Filter) -> Filter:
    """The filter with type patterns replaced by names, and each time range limited to its positions."""
    ranges = list(dict.fromkeys(_ranges(filter)))[:MOST_SPANS]
    positive, negative = _patterns(filter, negated=False), _patterns(filter, negated=True)
    if not positive and not negative and not ranges:
        return filter
    steps = StepLimit()
    names = _TypeNames(
        await types.matching(log, positive, steps) if positive else [],
        await types.types(log, most=log.search.most_types) if negative else [],
        log.search.most_names,
        len(positive) + len(negative),
        steps,
    )
    spans = {range: await time_span.span(log, range.low, range.high) for range in ranges}
    return _concrete(filter, names, spans)


@dataclass(frozen=True, slots=True)
class _TypeNames:
    """The types that match the patterns, and all types; None where there are too many."""

    matching: Sequence[str] | None
    all: Sequence[str] | None
    most: int
    """How many names one filter may have."""
    parts: int
    """How many conditions share the limits on names."""
    steps: StepLimit

    def matches(self, filter: TypePatterns) -> TypePatterns | None:
        """The types that match, by name; None if there are too many."""
        if self.matching is None:
            return None
        exact = [name for name in filter.patterns if not is_pattern(name)]
        selection = self._select(filter, self.matching, matching=True)
        return None if selection is None else self._within_limits(sorted({*exact, *selection}))

    def others(self, filter: TypePatterns) -> TypePatterns | None:
        """The types that do not match, by name; None if there are too many."""
        selection = None if self.all is None else self._select(filter, self.all, matching=False)
        return None if selection is None else self._within_limits(selection)

    def _within_limits(self, names: Sequence[str]) -> TypePatterns | None:
        has_room = len(names) * self.parts <= self.most and sum(map(len, names)) * self.parts <= MOST_CHARACTERS
        return TypePatterns(tuple(names)) if has_room else None

    def _select(self, filter: TypePatterns, names: Sequence[str], *, matching: bool) -> list[str] | None:
        fits = type_tester(filter.patterns)
        try:
            return [name for name in names if fits(name, self.steps.spend) is matching]
        except TooManySteps:
            return None


def branches(filter: Filter) -> bool:
    """Whether MongoDB may read parts of the answer one after the other, at different moments."""
    match filter:
        case Ids(values) | Among(_, values):
            return len(values) > 1
        case TypePatterns(patterns):
            return len(patterns) > 1 or any(map(is_pattern, patterns))
        case All(filters):
            return any(map(branches, filters))
        case Any_() | Not():
            return True
        case _:
            return False


def is_indexed(filter: Filter, paths: Iterable[str]) -> bool:
    """Whether an index leads to the events in the order of the log, and to few others. For a concrete filter.

    `paths` are those that have an index.
    """
    indexed = frozenset(paths)
    parts = conditions(filter)
    return any(_leads(part, indexed) for part in parts) or not any(map(_is_free, parts))


def bounds(filter: Filter) -> tuple[int | None, int | None]:
    """The positions between which all matching events lie, both included. For a concrete filter."""
    ranges = [part for part in conditions(filter) if isinstance(part, Between) and part.measure == "position"]
    low = max((range.low for range in ranges if range.low is not None), default=None)
    high = min((range.high for range in ranges if range.high is not None), default=None)
    return low, high


def within(filter: Filter, low: int | None, high: int | None) -> Filter:
    """The filter, limited to the positions.

    An `Any_` becomes an `Any_` whose parts each contain all the other conditions too. So MongoDB chooses an index for
    each part, reads each within the range only, and merges them in order.
    """
    range = () if (low, high) == (None, None) else (Between("position", low, high),)
    parts = conditions(filter)
    at = next((at for at, part in enumerate(parts) if isinstance(part, Any_)), None)
    if at is None:
        return All((*parts, *range))
    alternatives = parts.pop(at)
    assert isinstance(alternatives, Any_)
    return Any_(tuple(All((*conditions(way), *parts, *range)) for way in alternatives.filters))


def hint(filter: Filter) -> str | None:
    """The field with the best index for a filter; None to leave the choice to MongoDB. For a concrete filter.

    To MongoDB, two indexes that lead to about as many events are equally good. But the indexes of `NAMES` include the
    type, so only matching events are fetched.
    """
    parts = conditions(filter)
    if not any(
        isinstance(part, TypePatterns) or (isinstance(part, Among) and part.field == "aggregateType") for part in parts
    ):
        return None
    if any(
        isinstance(part, Ids | Holds) or (isinstance(part, Between) and part.measure == "version") for part in parts
    ):
        return None
    names = [part.field for part in parts if isinstance(part, Among) and len(part.values) == 1]
    return next((name for name in NAMES if name in names), None)


def _patterns(filter: Filter, *, negated: bool) -> list[TypePatterns]:
    """The conditions on types that have patterns; or, if `negated`, all conditions on types within a `Not`."""
    match filter:
        case TypePatterns(patterns):
            return [filter] if not negated and any(map(is_pattern, patterns)) else []
        case Not(TypePatterns() as inner):
            return [inner] if negated else []
        case Not(inner):
            return _patterns(inner, negated=negated)
        case All(filters) | Any_(filters):
            return [one for part in filters for one in _patterns(part, negated=negated)]
        case _:
            return []


def _ranges(filter: Filter) -> Iterator[Between]:
    """The time ranges that events must lie in. A range in a `Not` says nothing about positions."""
    match filter:
        case Between("timestamp", low, high) if (low, high) != (None, None):
            yield filter
        case All(filters) | Any_(filters):
            for part in filters:
                yield from _ranges(part)
        case _:
            return


def _concrete(filter: Filter, names: _TypeNames, spans: Spans) -> Filter:
    match filter:
        case TypePatterns(patterns) if any(map(is_pattern, patterns)):
            return names.matches(filter) or filter
        case Not(TypePatterns() as unwanted):
            # list all other types: an index leads to them
            return names.others(unwanted) or filter
        case Not(inner):
            return Not(_concrete(inner, names, {}))
        case Between() if filter in spans:
            span = spans[filter]
            return NOTHING if span is None else All((filter, Between("position", *span)))
        case All(filters):
            return All(tuple(_concrete(part, names, spans) for part in filters))
        case Any_(filters):
            return Any_(tuple(_concrete(way, names, spans) for way in filters))
        case _:
            return filter


def _leads(filter: Filter, paths: frozenset[str]) -> bool:
    """Whether an index leads to the matching events, without a scan of the log."""
    match filter:
        case TypePatterns(patterns):
            return not any(map(is_pattern, patterns))
        case Ids() | Among():
            return True
        case Holds(path, (Equals(values),)):
            # for a list or an object, the index would only compare the first element
            simple = all(isinstance(value, str | int | float) for value in values)
            return simple and dotted(path) in paths
        case All():
            return any(_leads(part, paths) for part in conditions(filter))
        case Any_(filters):
            return all(_leads(way, paths) or not _is_free(way) for way in filters)
        case _:
            return False


def _is_free(filter: Filter) -> bool:
    """Whether the filter can only be decided by looking at each event."""
    match filter:
        case Between("version", _, _):
            return True
        case TypePatterns(patterns):
            return any(map(is_pattern, patterns))
        case Between() | Ids() | Among():
            return False
        case All(filters) | Any_(filters):
            return any(map(_is_free, filters))
        case _:
            return True
