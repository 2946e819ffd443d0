"""Messages in an envelope of any shape, opened as a mapping says. No I/O.

Every member is taken from the message as it came. What paths led to is left out of the extensions, and so are the
objects that this empties; a value that another member takes as a part of something larger stays in that too, and what
lies in a list is taken and stays in the list, whose places would change else. So nothing of the message is lost.
"""

from collections.abc import Callable, Iterable
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
    Source,
)
from eventscope.store.message import Arrival
from eventscope.store.paths import place
from eventscope.subscriptions.conversion import CONVERSIONS
from eventscope.subscriptions.opened import Opened

Keys: TypeAlias = tuple[str, ...]

INVALID: Final = {"timestamp": "INVALID_TIMESTAMP"}


@dataclass(frozen=True, slots=True)
class _Taker:
    """How one source is taken: `find` gives None where it is not there, and `keys` is the path, if it is one."""

    find: Callable[[Any, Arrival], Any]
    convert: Callable[[Any], Any] | None
    keys: Keys | None
    text: str


class Mapper:
    """A mapping, made ready for messages: nothing of it is looked up or parsed again for each of them."""

    def sources(self) -> list[tuple[str, str]]:
        """Each member with each of its sources, in the words of people."""
        return [(name, taker.text) for name, takers in self._members for taker in takers]

    def found(self, message: dict[str, Any], arrival: Arrival) -> set[tuple[str, str]]:
        """Those of `sources` that are in the message."""
        return {
            (name, taker.text)
            for name, takers in self._members
            for taker in takers
            if _is_there(name, taker.find(message, arrival))
        }

    def __init__(self, mapping: EnvelopeMapping) -> None:
        self._members = tuple((name, tuple(map(_taker, sources))) for name, sources in mapping.members)
        self._claims = any(name == "version" for name, _ in mapping.members)

    def open(self, message: dict[str, Any], arrival: Arrival, index: int | None = None) -> Opened:
        """The members of the message and what is left of it. `index` is its place among several that came together."""
        members: dict[str, Any] = {}
        sources: dict[str, str] = {}
        taken: list[Keys] = []
        problem: tuple[str, str] | None = None
        for name, takers in self._members:
            for taker in takers:
                value = taker.find(message, arrival)
                if not _is_there(name, value):
                    continue
                if taker.convert is not None:
                    try:
                        value = taker.convert(value)
                    except ValueError as error:
                        # a version may be a mere claim, which keeps no event out: it is judged where that is known
                        if name != "version":
                            reason = f"{name} is mapped from {taker.text}, and {error}"
                            problem = problem or (INVALID.get(name, "INVALID_FIELD"), reason)
                            break
                if index is not None and name == "messageId" and taker.keys is None:
                    value = f"{value}:{index}"  # what they all have must tell them apart
                if _put(members, name, value):
                    sources[name] = taker.text
                    if taker.keys is not None:
                        taken.append(taker.keys)
                break
        return Opened(members, without(message, taken), sources=sources, problem=problem, claims=self._claims)


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


def _is_there(name: str, value: Any) -> bool:
    return value is not None and (value != "" or name not in TEXTS)


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


def _taker(source: Source) -> _Taker:
    convert = None if source.conversion is None else CONVERSIONS[source.conversion]
    match source.place:
        case FromMessage(keys):
            return _Taker(_path(keys), convert, keys, source.text)
        case FromHeader(name):
            return _Taker(_header(name), convert, None, source.text)
        case FromSubject(ranges):
            return _Taker(_words(ranges), convert, None, source.text)
        case Constant(value):
            return _Taker(lambda message, arrival: value, convert, None, source.text)
        case _:
            assert_never(source.place)


def _path(keys: Keys) -> Callable[[Any, Arrival], Any]:
    steps = tuple((key, place(key)) for key in keys)

    def find(message: Any, arrival: Arrival) -> Any:
        for key, at in steps:
            if isinstance(message, dict):
                message = message.get(key)
            elif isinstance(message, list) and at is not None and at < len(message):
                message = message[at]
            else:
                return None
        return message

    return find


def _header(name: str) -> Callable[[Any, Arrival], Any]:
    lower = name.lower()

    def find(message: Any, arrival: Arrival) -> Any:
        last = None
        for other, value in arrival.headers.items():
            if other.lower() == lower:
                last = value
        return last

    return find


def _words(ranges: tuple[tuple[int, int | None], ...]) -> Callable[[Any, Arrival], Any]:
    least = max(last or first for first, last in ranges)

    def find(message: Any, arrival: Arrival) -> Any:
        words = arrival.subject.split(".")
        if len(words) < least:
            return None
        return ".".join(word for first, last in ranges for word in words[first - 1 : last])

    return find
