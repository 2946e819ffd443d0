"""The headers of a NATS message as bytes: reading and writing them without losing values sent under one name. No I/O.

https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-4.md
"""

import re
from typing import Any, Final

from nats.aio.client import Client

from eventscope.store.headers import Headers, Values

VERSION: Final = b"NATS/1.0"
SPACE: Final = " \t\n\r\x0b\x0c"
NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # what can be sent, though more may come


class HeaderClient(Client):
    """A client of NATS whose messages have all their headers. (nats-py keeps the last of several values.)"""

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        return parse(headers) or None if headers else None


class Sendable(dict[str, str | list[str]]):
    """Headers for nats-py to send: it takes the items one by one, and so are the values of a list given to it."""

    def __init__(self, headers: Values) -> None:
        super().__init__({name: value for name, value in headers.items() if NAME.fullmatch(name)})

    def items(self) -> Any:
        """Each name with each of its values."""
        return [
            (name, one) for name, value in super().items() for one in (value if isinstance(value, list) else [value])
        ]


def parse(block: bytes) -> Headers:
    """The headers in the block, with `Status` and `Description` of a message of the server. Bytes of any kind are read.

    A NUL in a name, which MongoDB cannot keep, becomes U+FFFD, and so does what is not UTF-8.
    """
    headers = Headers()
    first, *lines = block.decode("utf-8", "replace").split("\r\n")
    status, _, description = first[len(VERSION) :].strip(SPACE).partition(" ")
    if status.isdigit():
        headers.add("Status", status)
        if description:
            headers.add("Description", description)
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and (name := name.strip(SPACE)):
            headers.add(name.replace("\0", "\ufffd"), value.strip(SPACE))
    return headers
