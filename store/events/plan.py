"""What a filter comes down to in this log: types by name, time ranges with their positions, and what an index serves.

A pattern of types would make MongoDB sort all that it finds, and no index is in the order of timestamps. The rollups
know all types and where each hour lies. They are written in the transaction that writes events, so for what lies up to
a head that was read before, none is missing. A pattern that stands for too many types to spell them out stays one, and
the log is gone through for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from eventscope.store.events import time_span, types
from eventscope.store.filters.effort import Effort, TooMuch
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
from eventscope.store.log import Log

MOST_NAMED: Final = 1_000  # types that are spelled out in one filter
MOST_CHARACTERS: Final = 64 * 1024  # of their names: MongoDB takes queries up to 16 MiB, and some parts are repeated
MOST_SPANS: Final = 16  # each is a read of its own; the rest of many time ranges is told by timestamps alone
NAMES: Final[Sequence[Field]] = (
    "correlationId",
    "causationId",
    "aggregateId",
    "userId",
)  # that with fewest events first

Spans: TypeAlias = Mapping[Between, tuple[int, int] | None]


async def concrete(log: Log, filter: Filter) -> Filter:
    """The filter with every type spelled out, and every time range with the positions that it lies between."""
    ranges = list(dict.fromkeys(_ranges(filter)))[:MOST_SPANS]
    wanted, unwanted = _patterns(filter, wanted=True), _patterns(filter, wanted=False)
    if not wanted and not unwanted and not ranges:
        return filter
    effort = Effort()
    names = _TypeNames(
        await types.fitting(log, wanted, effort) if wanted else [],
        await types.types(log, most=types.MOST_LOOKED) if unwanted else [],
        len(wanted) + len(unwanted),
        effort,
    )
    spans = {range: await time_span.span(log, range.low, range.high) for range in ranges}
    return _concrete(filter, names, spans)


@dataclass(frozen=True, slots=True)
class _TypeNames:
    """The types that the patterns stand for, and all others; None where these are too many to be known."""

    wanted: Sequence[str] | None
    all: Sequence[str] | None
    parts: int
    """How many conditions share the room that names may take."""
    effort: Effort

    def spelled(self, filter: TypePatterns) -> TypePatterns | None:
        """The types that it stands for, by name."""
        if self.wanted is None:
            return None
        exact = [name for name in filter.patterns if not is_pattern(name)]
        fitting = self._fitting(filter, self.wanted, wanted=True)
        return None if fitting is None else self._bounded(sorted({*exact, *fitting}))

    def others(self, filter: TypePatterns) -> TypePatterns | None:
        """All types but those, by name."""
        fitting = None if self.all is None else self._fitting(filter, self.all, wanted=False)
        return None if fitting is None else self._bounded(fitting)

    def _bounded(self, names: Sequence[str]) -> TypePatterns | None:
        has_room = len(names) * self.parts <= MOST_NAMED and sum(map(len, names)) * self.parts <= MOST_CHARACTERS
        return TypePatterns(tuple(names)) if has_room else None

    def _fitting(self, filter: TypePatterns, names: Sequence[str], *, wanted: bool) -> list[str] | None:
        fits = type_tester(filter.patterns)
        try:
            return [name for name in names if fits(name, self.effort.spend) is wanted]
        except TooMuch:
            return None


def branches(filter: Filter) -> bool:
    """Whether MongoDB may read parts of the answer one after the other, each a little later than the one before."""
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


def served(filter: Filter, indexed: Iterable[str]) -> bool:
    """Whether an index leads to the events in the order of the log, and to few others; for a concrete filter.

    `indexed` are the paths that have an index.
    """
    paths = frozenset(indexed)
    parts = conditions(filter)
    return any(_leads(part, paths) for part in parts) or not any(map(_is_free, parts))


def bounds(filter: Filter) -> tuple[int | None, int | None]:
    """The positions between which all that the filter means must lie; for a concrete filter."""
    ranges = [part for part in conditions(filter) if isinstance(part, Between) and part.measure == "position"]
    low = max((range.low for range in ranges if range.low is not None), default=None)
    high = min((range.high for range in ranges if range.high is not None), default=None)
    return low, high


def within(filter: Filter, low: int | None, high: int | None) -> Filter:
    """What of the filter lies between the positions.

    Of an `Any_` it is one `Any_` of ways, each with all that is asked for besides: so MongoDB chooses an index for each
    way by itself, reads no more of it than lies in the range, and merges them in order.
    """
    range = () if (low, high) == (None, None) else (Between("position", low, high),)
    parts = conditions(filter)
    at = next((at for at, part in enumerate(parts) if isinstance(part, Any_)), None)
    if at is None:
        return All((*parts, *range))
    several = parts.pop(at)
    assert isinstance(several, Any_)
    return Any_(tuple(All((*conditions(way), *parts, *range)) for way in several.filters))


def hint(filter: Filter) -> str | None:
    """The field by whose index a filter is served best; None to leave it to MongoDB; for a concrete filter.

    MongoDB takes two indexes that lead to about as much for equally good. But that of a name has the types in it, so
    that only what is meant is fetched.
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


def _patterns(filter: Filter, *, wanted: bool) -> list[TypePatterns]:
    """The conditions on types in which there are patterns, or those on types that are not wanted."""
    match filter:
        case TypePatterns(patterns):
            return [filter] if wanted and any(map(is_pattern, patterns)) else []
        case Not(TypePatterns() as inner):
            return [] if wanted else [inner]
        case Not(inner):
            return _patterns(inner, wanted=wanted)
        case All(filters) | Any_(filters):
            return [one for part in filters for one in _patterns(part, wanted=wanted)]
        case _:
            return []


def _ranges(filter: Filter) -> Iterator[Between]:
    """The time ranges that an event must lie in; what it must not lie in says nothing about positions."""
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
            return names.spelled(filter) or filter
        case Not(TypePatterns() as unwanted):
            # all other types: an index leads to these
            return names.others(unwanted) or filter
        case Not(inner):
            return Not(_concrete(inner, names, {}))
        case Between() if filter in spans:
            found = spans[filter]
            return NOTHING if found is None else All((filter, Between("position", *found)))
        case All(filters):
            return All(tuple(_concrete(part, names, spans) for part in filters))
        case Any_(filters):
            return Any_(tuple(_concrete(way, names, spans) for way in filters))
        case _:
            return filter


def _leads(filter: Filter, paths: frozenset[str]) -> bool:
    """Whether an index leads to what the filter means, without going through the log."""
    match filter:
        case TypePatterns(patterns):
            return not any(map(is_pattern, patterns))
        case Ids() | Among():
            return True
        case Holds(path, (Equals(values),)):
            # of a list or an object only its first element would be found by index
            simple = all(isinstance(value, str | int | float) for value in values)
            return simple and dotted(path) in paths
        case All():
            return any(_leads(part, paths) for part in conditions(filter))
        case Any_(filters):
            return all(_leads(way, paths) or not _is_free(way) for way in filters)
        case _:
            return False


def _is_free(filter: Filter) -> bool:
    """Whether events must be looked at one by one to tell."""
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
