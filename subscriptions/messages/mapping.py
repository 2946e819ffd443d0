"""Messages in an envelope of any shape, unwrapped by a mapping. No I/O.

Every member is taken from the message as it came. The values at the mapped paths are left out of the extensions, as are
objects that become empty by that. A value inside a larger one that another member takes also stays in the larger one,
and a value in a list also stays in the list, so that indexes do not change. Values of headers and subjects for which
the metadata has no place become extensions too. So nothing of the message is lost.
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
    """The subject and headers of a message, parsed once however many events are in the message."""

    def __init__(self, arrival: Arrival, names: Set[str]) -> None:
        """Only the headers of these names, in lower case, are kept, each with its last value."""
        self.words = arrival.subject.split(".")
        self.headers: dict[str, str] = {}
        if names:
            for name, value in arrival.headers.items():
                if (lower := name.lower()) in names:
                    self.headers[lower] = value
        self.values: dict[int, _SourceValue | None] = {}  # of sources outside the bytes


@dataclass(frozen=True, slots=True)
class _SourceValue:
    """A value from its source, converted; or the problem that prevents this."""

    value: Any
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _SourceReader:
    """Reads a member from one source: `keys` is the path into the message, if it is one.

    `is_outer` marks a header or the subject, of which nothing but the value read is kept.
    """

    name: str
    find: Callable[[Any, Outer], Any]
    convert: Callable[[Any], Any] | None
    keys: Keys | None
    is_outer: bool
    text: str

    def read(self, message: Any, outer: Outer) -> _SourceValue | None:
        """The value; None if there is none. A value without a path is the same for all events of a message."""
        if self.keys is not None:
            return self._read(message, outer)
        if id(self) not in outer.values:
            outer.values[id(self)] = self._read(message, outer)
        return outer.values[id(self)]

    def _read(self, message: Any, outer: Outer) -> _SourceValue | None:
        value = self.find(message, outer)
        if value is None or (value == "" and self.name in TEXTS):
            return None
        if self.convert is None:
            return _SourceValue(value)
        try:
            return _SourceValue(self.convert(value))
        except ValueError as error:
            return _SourceValue(value, str(error))


class Mapper:
    """A mapping, prepared for messages, so that nothing of it is parsed again for each of them."""

    def __init__(self, mapping: EnvelopeMapping) -> None:
        self._members = tuple(
            (name, tuple(_source_reader(name, one) for one in sources)) for name, sources in mapping.members
        )
        self._claims = any(name == "version" for name, _ in mapping.members)
        origins = [one.origin for _, sources in mapping.members for one in sources]
        self.headers = frozenset(origin.name.lower() for origin in origins if isinstance(origin, FromHeader))
        """The names of the headers that it reads, in lower case."""

    def sources(self) -> list[tuple[str, str]]:
        """Each member with each of its sources, as the setting writes them."""
        return [(name, reader.text) for name, readers in self._members for reader in readers]

    def present(self, message: dict[str, Any], outer: Outer) -> set[tuple[str, str]]:
        """Those of `sources` that the message has."""
        return {
            (name, reader.text)
            for name, readers in self._members
            for reader in readers
            if reader.read(message, outer) is not None
        }

    def outer(self, arrival: Arrival) -> Outer:
        """What all events of that message may read outside its bytes."""
        return Outer(arrival, self.headers)

    def unwrap(self, message: dict[str, Any], outer: Outer, index: int | None = None) -> Contents:
        """The members of the message and what is left of it. `index` is its index in a group of events."""
        members: dict[str, Any] = {}
        sources: dict[str, str] = {}
        paths: list[Keys] = []
        extras: dict[str, Any] = {}
        size = 0
        problem: tuple[str, str] | None = None
        for name, readers in self._members:
            for reader in readers:
                reading = reader.read(message, outer)
                if reading is None:
                    continue
                # a version may be a mere claim, which is no reason to reject: only the parser knows, and decides
                if reading.problem is not None and name != "version":
                    reason = f"{name} is mapped from {reader.text}, and {reading.problem}"
                    problem = problem or (INVALID.get(name, "INVALID_FIELD"), reason)
                    break
                value = reading.value
                if index is not None and name == "messageId" and reader.keys is None:
                    value = f"{value}:{index}"  # all events have this id, and each needs one of its own
                if reader.is_outer and isinstance(value, str):
                    size += len(value)
                if _put(members, name, value):
                    sources[name] = reader.text
                    if reader.keys is not None:
                        paths.append(reader.keys)
                elif reader.is_outer and not _has(members, name, value):
                    extras[name] = value
                break
        left = without(message, paths)
        for name, value in extras.items():
            left[free(name, left)] = value
        return Contents(members, left, sources=sources, problem=problem, claims=self._claims, beside_bytes=size)


def without(message: dict[str, Any], paths: Iterable[Keys]) -> dict[str, Any]:
    """The message without the values at these paths and the objects that become empty. Lists stay whole."""
    inner: dict[str, list[Keys]] = {}
    for keys in paths:
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
    """Set the member, unless the message's own metadata has one of that name, or is not an object."""
    if not name.startswith(f"{METADATA}."):
        members[name] = value
        return True
    metadata, inner = members.get(METADATA, {}), name.removeprefix(f"{METADATA}.")
    if not isinstance(metadata, dict) or inner in metadata:
        return False
    members[METADATA] = {**metadata, inner: value}
    return True


def _has(members: dict[str, Any], name: str, value: Any) -> bool:
    """Whether the message's own metadata has the same value."""
    metadata, inner = members.get(METADATA), name.removeprefix(f"{METADATA}.")
    return isinstance(metadata, dict) and type(metadata[inner]) is type(value) and metadata[inner] == value


def _source_reader(name: str, source: MemberSource) -> _SourceReader:
    convert = None if source.conversion is None else CONVERSIONS[source.conversion]
    match source.origin:
        case FromMessage(keys):
            return _SourceReader(name, _path(keys), convert, keys, False, source.text)
        case FromHeader(header):
            lower = header.lower()
            return _SourceReader(
                name, lambda message, outer: outer.headers.get(lower), convert, None, True, source.text
            )
        case FromSubject(ranges):
            return _SourceReader(name, _words(ranges), convert, None, True, source.text)
        case Constant(value):
            return _SourceReader(name, lambda message, outer: value, convert, None, False, source.text)
        case _:
            assert_never(source.origin)


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
