"""Finds which of many filters match an event by looking them up, instead of trying each.

A filter is entered under keys such that every event that it matches has at least one of them: a message id, a
correlation, an aggregate, a user, a type. The filters found under an event's keys are then tested themselves, so the
result is exact. A filter without such a key (patterns, ranges, negations, conditions on content) is tested on every
event.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final, Generic, Literal, TypeAlias, TypeVar, assert_never

from eventscope.store.filters.filter import (
    All,
    Among,
    Any_,
    Between,
    Exists,
    Field,
    Filter,
    Holds,
    Ids,
    Matcher,
    Not,
    TypePatterns,
    conditions,
    is_pattern,
    matcher,
)
from eventscope.store.filters.inspection import Inspection
from eventscope.store.filters.step_limit import STEPS, TooManySteps
from eventscope.store.values.documents import EventDocument

IndexKey: TypeAlias = tuple[str, ...]
T = TypeVar("T")

MOST_KEYS: Final = 2_000  # of one filter; one that would need more is tested on every event
ENTRY: Final = 10  # steps that every test of a filter counts as, besides its own
TURN: Final = 20_000  # steps, after which other tasks get their turn
AGGREGATE: Final = "aggregate"
KeyKind: TypeAlias = Field | Literal["messageId", "aggregate", "type"]
# Best first: the fewer events share a value, the better the key. A test checks that every Field has its place here.
ORDER: Final[tuple[KeyKind, ...]] = (
    "messageId",
    AGGREGATE,
    "causationId",
    "correlationId",
    "aggregateId",
    "userId",
    "type",
    "aggregateType",
)
SINGLE: Final = tuple(field for field in ORDER if field != AGGREGATE)


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[T]):
    value: T
    matches: Matcher


@dataclass(frozen=True, slots=True)
class Matches(Generic[T]):
    """The result of testing some of the filters on an event."""

    certain: list[T] = field(default_factory=list)
    unclear: list[T] = field(default_factory=list)
    """Those that take too long to test: they may match it or not."""


class FilterIndex(Generic[T]):
    """Values, each added with a filter, and found by the events that this filter matches."""

    def __init__(self) -> None:
        self._entries: dict[T, tuple[_Entry[T], frozenset[IndexKey] | None]] = {}
        self._by_key: dict[IndexKey, dict[T, _Entry[T]]] = {}
        self._others: dict[T, _Entry[T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, value: T, filter: Filter) -> None:
        """Add a value that is not in the index."""
        entry, index_keys = _Entry(value, matcher(filter)), keys(filter)
        self._entries[value] = (entry, index_keys)
        if index_keys is None:
            self._others[value] = entry
        else:
            for key in index_keys:
                self._by_key.setdefault(key, {})[value] = entry

    def remove(self, value: T) -> None:
        """Remove a value that is in the index."""
        _, index_keys = self._entries.pop(value)
        if index_keys is None:
            del self._others[value]
            return
        for key in index_keys:
            bucket = self._by_key[key]
            del bucket[value]
            if not bucket:
                del self._by_key[key]

    def matching(self, event: EventDocument) -> Iterator[Matches[T]]:
        """The values whose filters match the event, each once: in parts, between which other tasks get their turn."""
        inspection = Inspection(event)
        matches: Matches[T] = Matches()
        cost = 0
        for entry in self._entries_for(event):
            inspection.steps = STEPS
            try:
                if entry.matches(inspection):
                    matches.certain.append(entry.value)
            except TooManySteps:
                matches.unclear.append(entry.value)
            cost += ENTRY + STEPS - inspection.steps
            if cost > TURN:
                yield matches
                matches, cost = Matches(), 0
        yield matches

    def _entries_for(self, event: EventDocument) -> list[_Entry[T]]:
        """A copy of all entries that may match: filters come and go while these are tested."""
        buckets = [self._others]
        if self._by_key:
            buckets += [bucket for key in _keys_of(event) if (bucket := self._by_key.get(key)) is not None]
        if len(buckets) <= 2:
            return [entry for bucket in buckets for entry in bucket.values()]  # no entry is in both
        return list({value: entry for bucket in buckets for value, entry in bucket.items()}.values())


def keys(filter: Filter) -> frozenset[IndexKey] | None:
    """Keys such that every event that the filter matches has one of them; None when there are none, or too many."""
    match filter:
        case Ids(ids):
            return _bounded(("messageId", id) for id in ids)
        case TypePatterns(patterns):
            return None if any(map(is_pattern, patterns)) else _bounded(("type", type) for type in patterns)
        case Among(field, values):
            return _bounded((field, value) for value in values)
        case Any_(filters):
            ways = [keys(way) for way in filters]
            return None if None in ways else _bounded(key for way in ways if way is not None for key in way)
        case All():
            parts = conditions(filter)
            choices = [part_keys for part in parts if (part_keys := keys(part)) is not None]
            if (aggregate_keys := _aggregates(parts)) is not None:
                choices.append(aggregate_keys)
            return min(choices, key=_rank, default=None)
        case Between() | Not() | Holds() | Exists():
            return None
        case _:
            assert_never(filter)


def _aggregates(parts: list[Filter]) -> frozenset[IndexKey] | None:
    """Keys with both parts of an aggregate's name, because ids like `1` are common to many types."""
    types = [part.values for part in parts if isinstance(part, Among) and part.field == "aggregateType"]
    ids = [part.values for part in parts if isinstance(part, Among) and part.field == "aggregateId"]
    if not types or not ids or len(types[0]) * len(ids[0]) > MOST_KEYS:
        return None
    return frozenset((AGGREGATE, type, id) for type, id in product(types[0], ids[0]))


def _rank(keys: frozenset[IndexKey]) -> tuple[int, int]:
    """Lower is better: the worst of the keys decides; a filter without keys matches nothing, which is best."""
    return max((ORDER.index(key[0]) for key in keys), default=-1), len(keys)


def _bounded(keys: Iterable[IndexKey]) -> frozenset[IndexKey] | None:
    distinct = frozenset(keys)
    return distinct if len(distinct) <= MOST_KEYS else None


def _keys_of(event: EventDocument) -> list[IndexKey]:
    keys: list[IndexKey] = [(field, value) for field in SINGLE if isinstance(value := event.get(field), str)]
    type, id = event.get("aggregateType"), event.get("aggregateId")
    if type is not None and id is not None:
        keys.append((AGGREGATE, type, id))
    return keys
