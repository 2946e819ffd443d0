"""Which fields events of a type have in their data, counted: what a batch of events adds to that. No I/O.

Every event is looked at, none is left out. What is bounded is told as `truncated`: the depth, the number of fields.
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

# what a name has its own meaning for in the paths of filters, and here
SPECIAL: Final = re.compile(r"[\\.\[]")
KINDS: Final[dict[type, JsonType]] = {
    type(None): "NULL",
    bool: "BOOLEAN",
    int: "NUMBER",
    Int64: "NUMBER",
    float: "NUMBER",
    str: "STRING",
    dict: "OBJECT",
    DBRef: "OBJECT",  # the driver reads `{"$ref": …, "$id": …}`, which anyone may send, as a reference
    list: "ARRAY",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one event, each with its JSON types; `cut` when there are more than are named here."""

    pairs: tuple[Pair, ...]
    cut: bool


@dataclass(slots=True)
class Seen:
    """How often a field was there, from which position to which, and how often with each JSON type."""

    count: int
    first: int
    last: int
    types: dict[JsonType, int]


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """The first event in which a type had a field, or a field a JSON type, that no event had before.

    `known` tells whether the field itself was.
    """

    position: int
    at: int
    path: str
    known: bool
    json_type: JsonType


@dataclass(frozen=True, slots=True)
class EventShape:
    """What is wanted of one event."""

    position: int
    at: int
    shape: Shape


@dataclass(slots=True)
class FieldCounts:
    """The fields of one event type. All its events up to the position `to` are counted."""

    events: int = 0
    to: int = 0
    seen: dict[str, Seen] = field(default_factory=dict)
    truncated: bool = False
    drifts: list[FieldDrift] = field(default_factory=list)
    drift_count: int = 0

    def count(self, looks: Iterable[EventShape], to: int) -> None:
        """Count the events, which come in the order of the log and are all that there are up to `to`.

        Those that were counted already are known by their positions.
        """
        alike: dict[Shape, list[EventShape]] = {}
        for look in looks:
            if look.position > self.to:
                alike.setdefault(look.shape, []).append(look)
        for shape, members in alike.items():
            self._count(shape, members)
        self.to = max(self.to, to)

    def _count(self, shape: Shape, looks: Sequence[EventShape]) -> None:
        first, last, n = looks[0], looks[-1], len(looks)
        news = self.events > 0
        self.events += n
        self.truncated |= shape.cut
        for path, kinds in _by_path(shape.pairs).items():
            known = self.seen.get(path)
            if known is None:
                if len(self.seen) == MOST_FIELDS:
                    self.truncated = True
                    continue
                known = self.seen[path] = Seen(0, first.position, last.position, {})
            known.count += n
            known.last = max(known.last, last.position)
            for kind in kinds:
                if news and kind not in known.types:
                    self._drifted(FieldDrift(first.position, first.at, path, bool(known.types), kind))
                known.types[kind] = known.types.get(kind, 0) + n

    def _drifted(self, drift: FieldDrift) -> None:
        self.drift_count += 1
        self.drifts = [*self.drifts, drift][-MOST_DRIFTS:]


def shape(event: Document) -> Shape:
    """The fields that the event has in its data."""
    if "data" not in event:
        return Shape((), False)
    found: dict[Pair, None] = {}
    data = event["data"]
    # data itself is a field only where it is not what it should be, an object
    cut = _walk(found, "", data, 0) if KINDS[type(data)] == "OBJECT" else _note(found, "", data, 0)
    return Shape(tuple(found), cut)


def _walk(found: dict[Pair, None], path: str, value: Any, depth: int) -> bool:
    """Note all that is in the object or list; whether something had to be left out."""
    cut = False
    if type(value) is list:
        for member in value:
            cut |= _note(found, f"{path}[]", member, depth + 1)
        return cut
    start = f"{path}." if depth else ""
    for name, member in (value.as_doc() if type(value) is DBRef else value).items():
        cut |= _note(found, start + SPECIAL.sub(r"\\\g<0>", name), member, depth + 1)
    return cut


def _note(found: dict[Pair, None], path: str, value: Any, depth: int) -> bool:
    kind = KINDS[type(value)]
    if (path, kind) not in found:
        if len(found) == MOST_PAIRS or len(path) > MOST_PATH:
            return True
        found[path, kind] = None
    if kind not in ("OBJECT", "ARRAY"):
        return False
    return bool(value) if depth == MOST_DEPTH else _walk(found, path, value, depth)


def _by_path(pairs: tuple[Pair, ...]) -> dict[str, list[JsonType]]:
    paths: dict[str, list[JsonType]] = {}
    for path, kind in pairs:
        paths.setdefault(path, []).append(kind)
    return paths
