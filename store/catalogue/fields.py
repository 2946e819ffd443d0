"""Counts of the fields that events of a type have in their data, and what more events add. No I/O.

Every event is counted. Depth and number of fields are limited; `truncated` says that a limit was reached.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from bson import DBRef, Int64

from eventscope.store.mongo.driver import Document

JsonType = Literal["NULL", "BOOLEAN", "NUMBER", "STRING", "OBJECT", "ARRAY"]
Pair: TypeAlias = tuple[str, JsonType]

MOST_DEPTH: Final = 8
MOST_FIELDS: Final = 200  # of one type
MOST_PAIRS: Final = 1000  # of one event
MOST_PATH: Final = 200  # characters
MOST_DRIFTS: Final = 100

# the characters with a special meaning in paths, in filters and here
SPECIAL: Final = re.compile(r"[\\.\[]")
KINDS: Final[dict[type, JsonType]] = {
    type(None): "NULL",
    bool: "BOOLEAN",
    int: "NUMBER",
    Int64: "NUMBER",
    float: "NUMBER",
    str: "STRING",
    dict: "OBJECT",
    DBRef: "OBJECT",  # the driver decodes `{"$ref": …, "$id": …}`, which anyone may send, as a DBRef
    list: "ARRAY",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one event, each with its JSON type; `is_cut` if it has more fields than these."""

    pairs: tuple[Pair, ...]
    is_cut: bool


@dataclass(slots=True)
class Occurrence:
    """How often a field occurred, its first and last position, and how often it had each JSON type."""

    count: int
    first: int
    last: int
    types: dict[JsonType, int]


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """The first event of a type with a new field, or with a new JSON type of a field.

    `known` says whether the field itself had occurred before.
    """

    position: int
    at: int
    path: str
    known: bool
    json_type: JsonType


@dataclass(frozen=True, slots=True)
class EventShape:
    """What the catalogue needs from one event; `at` is its timestamp."""

    position: int
    at: int
    shape: Shape


@dataclass(slots=True)
class FieldCounts:
    """The fields of one event type, counted up to the position `to`."""

    events: int = 0
    to: int = 0
    occurrences: dict[str, Occurrence] = field(default_factory=dict)
    truncated: bool = False
    drifts: list[FieldDrift] = field(default_factory=list)
    drift_count: int = 0

    def count(self, events: Iterable[EventShape], to: int) -> None:
        """Count events, which are in the order of the log and complete up to `to`.

        Those that were counted before are skipped, by their positions.
        """
        by_shape: dict[Shape, list[EventShape]] = {}
        for event in events:
            if event.position > self.to:
                by_shape.setdefault(event.shape, []).append(event)
        for shape, members in by_shape.items():
            self._count(shape, members)
        self.to = max(self.to, to)

    def _count(self, shape: Shape, events: Sequence[EventShape]) -> None:
        first, last, n = events[0], events[-1], len(events)
        has_history = self.events > 0
        self.events += n
        self.truncated |= shape.is_cut
        for path, kinds in _by_path(shape.pairs).items():
            occurrence = self.occurrences.get(path)
            if occurrence is None:
                if len(self.occurrences) == MOST_FIELDS:
                    self.truncated = True
                    continue
                occurrence = self.occurrences[path] = Occurrence(0, first.position, last.position, {})
            occurrence.count += n
            occurrence.last = max(occurrence.last, last.position)
            for kind in kinds:
                if has_history and kind not in occurrence.types:
                    self._add_drift(FieldDrift(first.position, first.at, path, bool(occurrence.types), kind))
                occurrence.types[kind] = occurrence.types.get(kind, 0) + n

    def _add_drift(self, drift: FieldDrift) -> None:
        self.drift_count += 1
        self.drifts = [*self.drifts, drift][-MOST_DRIFTS:]


def shape(event: Document) -> Shape:
    """The fields that the event has in its data."""
    if "data" not in event:
        return Shape((), False)
    pairs: dict[Pair, None] = {}
    data = event["data"]
    # data should be an object; if it is not, it counts as a field itself
    cut = _walk(pairs, "", data, 0) if KINDS[type(data)] == "OBJECT" else _note(pairs, "", data, 0)
    return Shape(tuple(pairs), cut)


def _walk(pairs: dict[Pair, None], path: str, value: Any, depth: int) -> bool:
    """Add all fields of the object or list to `pairs`. Returns whether some were left out."""
    cut = False
    if type(value) is list:
        for member in value:
            cut |= _note(pairs, f"{path}[]", member, depth + 1)
        return cut
    start = f"{path}." if depth else ""
    for name, member in (value.as_doc() if type(value) is DBRef else value).items():
        cut |= _note(pairs, start + SPECIAL.sub(r"\\\g<0>", name), member, depth + 1)
    return cut


def _note(pairs: dict[Pair, None], path: str, value: Any, depth: int) -> bool:
    kind = KINDS[type(value)]
    if (path, kind) not in pairs:
        if len(pairs) == MOST_PAIRS or len(path) > MOST_PATH:
            return True
        pairs[path, kind] = None
    if kind not in ("OBJECT", "ARRAY"):
        return False
    return bool(value) if depth == MOST_DEPTH else _walk(pairs, path, value, depth)


def _by_path(pairs: tuple[Pair, ...]) -> dict[str, list[JsonType]]:
    paths: dict[str, list[JsonType]] = {}
    for path, kind in pairs:
        paths.setdefault(path, []).append(kind)
    return paths
