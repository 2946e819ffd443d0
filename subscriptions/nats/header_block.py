"""The headers of a NATS message as bytes: parsed and written without losing repeated values of one name. No I/O.

https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-4.md
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from nats.aio.client import Client

from eventscope.store.values.headers import MessageHeaders, Values
from eventscope.subscriptions.messages.raw_text import decode, encode, escaped

VERSION: Final = b"NATS/1.0"
SPACE: Final = " \t\n\r\x0b\x0c"
NUL: Final = escaped(0)
EMPTY: Final = len(VERSION + b"\r\n\r\n")  # bytes of a block without headers
SEPARATORS: Final = len(": \r\n")  # in each line


class HeaderClient(Client):
    """A NATS client whose messages have all their headers. (nats-py keeps the last of several values.)"""

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse(headers) or None if headers else None


class _ExactText(str):
    """A text that nats-py sends as the bytes it was decoded from; it trims, changes or refuses other texts."""

    __slots__ = ()

    def strip(self, chars: str | None = None, /) -> "_RawText":
        """The text as nats-py is to send it."""
        return _RawText(self)


class _RawText(str):
    """Passes nats-py's checks of a header's name or value, and encodes to any bytes."""

    raw: bytes

    def __new__(cls, text: str) -> Self:
        """A stand-in for the text."""
        stand_in = super().__new__(cls, "_")
        stand_in.raw = encode(text)
        return stand_in

    def translate(self, table: Any, /) -> Self:
        """Unchanged."""
        return self

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """The bytes of the text."""
        return self.raw


class Sendable(dict[str, str | list[str]]):
    """Headers for nats-py to send: it iterates over the items, and gets each value of a list as one."""

    def __init__(self, headers: Values) -> None:
        super().__init__(headers)

    def items(self) -> Any:
        """Each name with each of its values."""
        return [
            (_ExactText(str.__str__(name)), _ExactText(one))  # nats-py has an enum of names
            for name, value in super().items()
            for one in (value if isinstance(value, list) else [value])
        ]

    def block(self) -> bytes:
        """The bytes that are sent."""
        return format_block(self.items())


def format_block(lines: Iterable[tuple[str, str]]) -> bytes:
    """The block of these lines. ValueError when something in them cannot be encoded."""
    return b"\r\n".join((VERSION, *(encode(name) + b": " + encode(value) for name, value in lines), b"", b""))


def block_size(headers: Mapping[str, str | list[str]]) -> int:
    """The bytes of the block of these headers, without making it."""
    size = EMPTY
    for name, value in headers.items():
        for one in value if isinstance(value, list) else (value,):
            size += len(encode(name)) + len(encode(one)) + SEPARATORS
    return size


def parse(block: bytes) -> MessageHeaders:
    """The headers in the block, with `Status` and `Description` of a message from the server. Any bytes are accepted.

    Bytes that are not UTF-8 become escapes of `raw_text`, as does a NUL in a name, which MongoDB cannot store.
    """
    headers = MessageHeaders()
    first, *lines = decode(block).split("\r\n")
    status, _, description = first[len(VERSION) :].strip(SPACE).partition(" ")
    if status.isdigit():
        headers.add("Status", status)
        if description:
            headers.add("Description", description)
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and (name := name.strip(SPACE)):
            headers.add(name.replace("\0", NUL), value.strip(SPACE))
    return headers
