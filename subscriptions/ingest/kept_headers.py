"""Headers that events keep, as `headers` in their metadata; by default those of a trace context. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from eventscope.store.values.headers import Values, every
from eventscope.store.values.message import HEADERS, AcceptedMessage, MessageGroup, ParsedMessage, RejectedMessage
from eventscope.subscriptions.ingest.portions import MEMBER_BYTES

ANY: Final = "*"
MOST_BYTES: Final = 1024 * 1024  # for all events of one message together, since each would get all headers
RESERVED: Final = ("nats-", "eventscope-")  # instructions for the servers, which have already obeyed them


class KeptHeaders:
    """The names of headers to keep, in any case; a `*` at the end of one stands for the rest of a name.

    A header is kept under the name in the setting, or under its own if a `*` matches it. A reserved name matches only
    settings that spell out its reserved prefix. In a group of events, the first one gets all kept headers, and the
    others those that do not make the group too large.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._exact = {name.lower(): name for name in names if not name.endswith(ANY)}
        self._prefixes = tuple(name[:-1].lower() for name in names if name.endswith(ANY))

    def add_to(self, message: ParsedMessage) -> ParsedMessage:
        """The message with the headers that are kept; the same message if there are none."""
        if not message.arrival.headers or isinstance(message, RejectedMessage):
            return message
        headers = self._matching(message.arrival.headers)
        if not headers:
            return message
        if isinstance(message, MessageGroup):
            first, *others = message.messages
            fitting = _fitting(headers, MOST_BYTES // len(message.messages))
            size = _size(fitting)
            others = [_with(one, fitting, size) for one in others] if fitting else others
            return replace(message, messages=(_with(first, headers, _size(headers)), *others))
        return _with(message, headers, _size(headers))

    def _matching(self, headers: Mapping[str, str]) -> Values:
        matching: dict[str, list[str]] = {}
        for name, value in every(headers).items():
            if (key := self._key(name)) is not None:
                matching.setdefault(key, []).extend(value if isinstance(value, list) else [value])
        return {name: values if len(values) > 1 else values[0] for name, values in matching.items()}

    def _key(self, name: str) -> str | None:
        lower = name.lower()
        if lower in self._exact:
            return self._exact[lower]
        if not lower.startswith(self._prefixes):
            return None
        reserved = next((word for word in RESERVED if lower.startswith(word)), "")
        return name if any(p.startswith(reserved) and lower.startswith(p) for p in self._prefixes) else None


def _fitting(headers: Values, room: int) -> Values:
    """The headers, in order, that fit into `room` bytes."""
    fitting: Values = {}
    for name, value in headers.items():
        size = _size({name: value})
        if size <= room:
            fitting[name] = value
            room -= size
    return fitting


def _size(headers: Values) -> int:
    return sum(
        len(name) + sum(MEMBER_BYTES + len(one) for one in (value if isinstance(value, list) else [value]))
        for name, value in headers.items()
    )


def _with(message: AcceptedMessage, headers: Values, size: int) -> AcceptedMessage:
    metadata = message.fields.get("metadata", {})
    if not isinstance(metadata, dict) or HEADERS in metadata:
        return message  # what the publisher sent is never replaced
    fields = {**message.fields, "metadata": {**metadata, HEADERS: headers}}
    return replace(message, fields=fields, keeps_headers=True, beside_bytes=message.beside_bytes + size)
