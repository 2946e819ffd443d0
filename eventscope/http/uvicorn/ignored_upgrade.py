"""Reading on after a request that offers another protocol, such as h2c, which we do not accept.

The parser takes everything after the head of such a request for the other protocol. A server may ignore the offer (RFC
9110, section 7.8), and the request is then like any other. So another parser reads a short head of the same length of
body, without passing it on, and after it the body and whatever follows.
"""

from collections.abc import Iterable
from typing import Any

import httptools

from eventscope.http.uvicorn.handshake import FRAMING


def reader(protocol: Any, headers: Iterable[tuple[bytes, bytes]]) -> tuple[httptools.HttpRequestParser, bytes]:
    """A parser for the rest of the connection, and the head to pass to it first."""
    parser = httptools.HttpRequestParser(_AfterHead(protocol))
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
    framing = b"".join(b"%b: %b\r\n" % (name, value) for name, value in headers if name in FRAMING)
    return parser, b"POST / HTTP/1.1\r\n" + framing + b"\r\n"


class _AfterHead:
    """The callbacks of uvicorn's protocol, except for the first head."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_past = False
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._is_past:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._is_past:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_past:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._is_past:
            self._protocol.on_headers_complete()
        self._is_past = True
