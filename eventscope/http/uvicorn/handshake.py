"""Which WebSocket handshakes are refused before they reach the library that implements the protocol. No I/O.

It gives no answer to a handshake that has a body or is larger than it likes, and waits for ever.
"""

from collections.abc import Sequence
from typing import Final

FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
"""The headers that say how long a body is."""

MOST_LINE: Final = 8_000  # bytes of the address or of one header; `websockets` takes 8,192 in a line
MOST_LINES: Final = 100  # headers; `websockets` takes 128


def is_too_large(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the address or the headers are too long, or too many."""
    longest = max((len(name) + len(value) for name, value in headers), default=0)
    return len(headers) > MOST_LINES or max(longest, len(url)) > MOST_LINE


def has_body(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether it has a body, which a GET request may have, but a handshake must not."""
    return any(name in FRAMING and value != b"0" for name, value in headers)
