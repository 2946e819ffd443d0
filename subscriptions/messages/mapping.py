"""Messages in an envelope of any shape, opened as a mapping says. No I/O.

Every member is taken from the message as it came. What paths led to is left out of the extensions, and so are the
objects that this empties; a value that another member takes as a part of something larger stays in that too, and what
lies in a list is taken and stays in the list, whose places would change else. What headers and subjects have for a
metadata that has no room for it goes to the extensions too. So nothing of the message is lost.
"""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, assert_never

from eventscope.envelopes import (
    METADATA,
    TEXTS,
    Constant,
    EnvelopeMapping,
    FromHeader,
    FromMessage,
    FromSubject,
    MemberSource,
)
from eventscope.store.filters.paths import index_of
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.messages.contents import Contents, free
from eventscope.subscriptions.messages.conversion import CONVERSIONS

Keys: TypeAlias = tuple[str, ...]

INVALID: Final = {"timestamp": "INVALID_TIMESTAMP"}


class Outer:
    """What came beside the bytes of a message. It is taken apart once, however many events are in the message."""

    def __init__(self, arrival: Arrival, names: Set[str]) -> None:
        """Have the headers of these names, in lower case; of several values the last."""
        self.words = arrival.subject.split(".")
        self.headers: dict[str, str] = {}
        if names:
            for name, value in arrival.headers.items():
                if (lower := name.lower()) in names:
                    self.headers[lower] = value
        self.found: dict[int, _Found | None] = {}


@dataclass(frozen=True, slots=True)
class _Found:
    """A value as its source has it, converted; or why it cannot be."""

    value: Any
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Taker:
    """How a member is taken from one source: `keys` is the path into the message, if it is one.

    `is_beside` tells a source beside the bytes of the message, of which nothing else is kept.
    """

    name: str
    find: Callable[[Any, Outer], Any]
    convert: Callable[[Any], Any] | None
    keys: Keys | None
    is_beside: bool
    text: str

    def take(self, message: Any, outer: Outer) -> _Found | None:
        """What is there, None if nothing is. What no path leads to is the same for all events of a message."""
        if self.keys is not None:
            return self._take(message, outer)
        if id(self) not in outer.found:
            outer.found[id(self)] = self._take(message, outer)
        return outer.found[id(self)]

    def _take(self, message: Any, outer: Outer) -> _Found | None:
        value = self.find(message, outer)
        if value is None or (value == "" and self.name in TEXTS):
            return None
        if self.convert is None:
            return _Found(value)
        try:
            return _Found(self.convert(value))
        except ValueError as error:
            return _Found(value, str(error))


class Mapper:
    """A mapping, made ready for messages: nothing of it is looked up or parsed again for each of them."""

    def __init__(self, mapping: EnvelopeMapping) -> None:
        self._members = tuple((name, tuple(_taker(name, one) for one in sources)) for name, sources in mapping.members)
        self._claims = any(name == "version" for name, _ in mapping.members)
        places = [one.place for _, sources in mapping.members for one in sources]
        self.headers = frozenset(place.name.lower() for place in places if isinstance(place, FromHeader))
        """The names of the headers that it takes, in lower case."""

    def sources(self) -> list[tuple[str, str]]:
        """Each member with each of its sources, in the words of people."""
        return [(name, taker.text) for name, takers in self._members for taker in takers]

    def found(self, message: dict[str, Any], outer: Outer) -> set[tuple[str, str]]:
        """Those of `sources` that are in the message."""
        return {
            (name, taker.text)
            for name, takers in self._members
            for taker in takers
            if taker.take(message, outer) is not None
        }

    def outer(self, arrival: Arrival) -> Outer:
        """What all events of that message may take from beside its bytes."""
        return Outer(arrival, self.headers)

    def open(self, message: dict[str, Any], outer: Outer, index: int | None = None) -> Contents:
        """The members of the message and what is left of it. `index` is its place among several that came together."""
        members: dict[str, Any] = {}
        sources: dict[str, str] = {}
        taken: list[Keys] = []
        beside: dict[str, Any] = {}
        size = 0
        problem: tuple[str, str] | None = None
        for name, takers in self._members:
            for taker in takers:
                found = taker.take(message, outer)
                if found is None:
                    continue
                # a version may be a mere claim, which keeps no event out: it is judged where that is known
                if found.problem is not None and name != "version":
                    reason = f"{name} is mapped from {taker.text}, and {found.problem}"
                    problem = problem or (INVALID.get(name, "INVALID_FIELD"), reason)
                    break
                value = found.value
                if index is not None and name == "messageId" and taker.keys is None:
                    value = f"{value}:{index}"  # what they all have must tell them apart
                if taker.is_beside and isinstance(value, str):
                    size += len(value)
                if _put(members, name, value):
                    sources[name] = taker.text
                    if taker.keys is not None:
                        taken.append(taker.keys)
                elif taker.is_beside and not _has(members, name, value):
                    beside[name] = value
                break
        left = without(message, taken)
        for name, value in beside.items():
            left[free(name, left)] = value
        return Contents(members, left, sources=sources, problem=problem, claims=self._claims, beside_bytes=size)


def without(message: dict[str, Any], taken: Iterable[Keys]) -> dict[str, Any]:
    """The message without what these paths lead to, and without the objects that this empties. Lists stay whole."""
    inner: dict[str, list[Keys]] = {}
    for keys in taken:
        if not keys:
            return {}
        inner.setdefault(keys[0], []).append(keys[1:])
    left: dict[str, Any] = {}
    for key, value in message.items():
        below = inner.get(key)
        if below is None or (isinstance(value, list) and () not in below):
            left[key] = value
        elif () not in below and (rest := without(value, below)):
            left[key] = rest
    return left


def _put(members: dict[str, Any], name: str, value: Any) -> bool:
    """Give the event the member, unless the message's own metadata has one of that name, or is no object."""
    if not name.startswith(f"{METADATA}."):
        members[name] = value
        return True
    metadata, inner = members.get(METADATA, {}), name.removeprefix(f"{METADATA}.")
    if not isinstance(metadata, dict) or inner in metadata:
        return False
    members[METADATA] = {**metadata, inner: value}
    return True


def _has(members: dict[str, Any], name: str, value: Any) -> bool:
    """Whether the message's own metadata says the same."""
    metadata, inner = members.get(METADATA), name.removeprefix(f"{METADATA}.")
    return isinstance(metadata, dict) and type(metadata[inner]) is type(value) and metadata[inner] == value


def _taker(name: str, source: MemberSource) -> _Taker:
    convert = None if source.conversion is None else CONVERSIONS[source.conversion]
    match source.place:
        case FromMessage(keys):
            return _Taker(name, _path(keys), convert, keys, False, source.text)
        case FromHeader(header):
            lower = header.lower()
            return _Taker(name, lambda message, outer: outer.headers.get(lower), convert, None, True, source.text)
        case FromSubject(ranges):
            return _Taker(name, _words(ranges), convert, None, True, source.text)
        case Constant(value):
            return _Taker(name, lambda message, outer: value, convert, None, False, source.text)
        case _:
            assert_never(source.place)


def _path(keys: Keys) -> Callable[[Any, Outer], Any]:
    steps = tuple((key, index_of(key)) for key in keys)

    def find(message: Any, outer: Outer) -> Any:
        for key, at in steps:
            if isinstance(message, dict):
                message = message.get(key)
            elif isinstance(message, list) and at is not None and at < len(message):
                message = message[at]
            else:
                return None
        return message

    return find


def _words(ranges: tuple[tuple[int, int | None], ...]) -> Callable[[Any, Outer], Any]:
    least = max(last or first for first, last in ranges)

    def find(message: Any, outer: Outer) -> Any:
        words = outer.words
        if len(words) < least:
            return None
        return ".".join(word for first, last in ranges for word in words[first - 1 : last])

    return find
