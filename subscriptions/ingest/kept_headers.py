"""Headers that accepted events keep, as `headers` among their metadata: by default the context of a trace. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from eventscope.store.values.headers import Values, every
from eventscope.store.values.message import HEADERS, AcceptedMessage, MessageGroup, ParsedMessage, RejectedMessage
from eventscope.subscriptions.ingest.portions import MEMBER_BYTES

ANY: Final = "*"
MOST_BYTES: Final = 1024 * 1024  # over all events of one message: without a limit each has all that was sent once
RESERVED: Final = ("nats-", "eventscope-")  # what they say is for the servers, and has been heeded


class KeptHeaders:
    """Names to keep, in any case; a `*` at the end of one stands for the rest of a name.

    A header is kept under the name that is given here, or under its own where it is a `*` that takes it. Reserved names
    are taken only by what begins like them. Of several events that came together the first one has all of them, and the
    others those that do not make too much of it.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._exact = {name.lower(): name for name in names if not name.endswith(ANY)}
        self._prefixes = tuple(name[:-1].lower() for name in names if name.endswith(ANY))

    def add_to(self, message: ParsedMessage) -> ParsedMessage:
        """The message with what is kept of its headers; a message that has none of them is given back as it is."""
        if not message.arrival.headers or isinstance(message, RejectedMessage):
            return message
        kept = self._of(message.arrival.headers)
        if not kept:
            return message
        if isinstance(message, MessageGroup):
            first, *others = message.messages
            fitting = _fitting(kept, MOST_BYTES // len(message.messages))
            size = _size(fitting)
            others = [_with(one, fitting, size) for one in others] if fitting else others
            return replace(message, messages=(_with(first, kept, _size(kept)), *others))
        return _with(message, kept, _size(kept))

    def _of(self, headers: Mapping[str, str]) -> Values:
        kept: dict[str, list[str]] = {}
        for name, value in every(headers).items():
            if (known := self._name(name)) is not None:
                kept.setdefault(known, []).extend(value if isinstance(value, list) else [value])
        return {name: values if len(values) > 1 else values[0] for name, values in kept.items()}

    def _name(self, name: str) -> str | None:
        lower = name.lower()
        if lower in self._exact:
            return self._exact[lower]
        if not lower.startswith(self._prefixes):
            return None
        reserved = next((word for word in RESERVED if lower.startswith(word)), "")
        return name if any(p.startswith(reserved) and lower.startswith(p) for p in self._prefixes) else None


def _fitting(kept: Values, room: int) -> Values:
    """Those of them for which there is room, the first ones first."""
    fitting: Values = {}
    for name, value in kept.items():
        size = _size({name: value})
        if size <= room:
            fitting[name] = value
            room -= size
    return fitting


def _size(kept: Values) -> int:
    return sum(
        len(name) + sum(MEMBER_BYTES + len(one) for one in (value if isinstance(value, list) else [value]))
        for name, value in kept.items()
    )


def _with(message: AcceptedMessage, kept: Values, size: int) -> AcceptedMessage:
    metadata = message.fields.get("metadata", {})
    if not isinstance(metadata, dict) or HEADERS in metadata:
        return message  # what was sent is never replaced
    fields = {**message.fields, "metadata": {**metadata, HEADERS: kept}}
    return replace(message, fields=fields, keeps_headers=True, beside_bytes=message.beside_bytes + size)
