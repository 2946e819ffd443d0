"""uvicorn's end of a WebSocket, which can be cut off, and which drops a peer that does not answer pings."""

import logging
import struct
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar, Final, cast

import orjson
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from eventscope.errors import BadInput, shorten
from eventscope.internals import Internals

CUT: Final = "eventscope.cut"  # the ASGI extension that breaks a connection off
PUT: Final = "eventscope.put"  # the ASGI extension that sends a text at once, or returns False
LOGGED_LENGTH: Final = 200  # characters of a reason
TEXT_FRAME: Final = 0x81
UNANSWERED: Final = 4410  # clients reconnect after an application's code (4000 on), but not after uvicorn's 1011

INTERNALS: Final = Internals(
    "uvicorn",
    {
        WebSocketsSansIOProtocol: {
            "send_receive_event_to_app": "",
            "handle_connect": "event",
            "handle_parser_exception": "",
            "keepalive_timeout": "",
            "send": "message",
        }
    },
    {
        WebSocketsSansIOProtocol: "close_sent close_timer conn curr_msg_data_type frames handshake_complete loop "
        "pending_ping_payload pong_timer queue transport writable",
    },
)

logger = logging.getLogger(__name__)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    close_seconds: ClassVar[float] = 5.0
    """For a peer that did not answer a ping, to close the connection itself."""

    def send_receive_event_to_app(self) -> None:
        """Pass a message to the application, or close with 1007 on a text that is not UTF-8 (RFC 6455, section 8.1)."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            # uvicorn would close too, but log a traceback for each such text that a client cares to send
            self.frames = []
            if not self.close_sent:
                self.conn.send_close(1007)
                self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_connect(self, event: Request) -> None:
        """Accept or refuse a handshake; offer `cut` and `put` to the application."""
        self.conn.reject = self._reject  # type: ignore[method-assign]  # uvicorn has no hook for it
        super().handle_connect(event)
        del self.conn.reject  # breaks a cycle, which would leave ended connections to the garbage collector
        if self.response.status_code == 101:
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[CUT] = self.cut
            extensions[PUT] = self.put

    def _reject(self, status: int, text: str) -> Response:
        """The answer to a refused handshake, in the form of all errors if the client is at fault."""
        response = ServerProtocol.reject(self.conn, status, text)
        reason = text.strip()
        if reason and status != HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.info("a WebSocket is refused with %d: %s", status, reason[:LOGGED_LENGTH])
            error = {"message": shorten(reason), "extensions": {"code": BadInput.code}}
            response.body = orjson.dumps({"errors": [error]})
            for name, value in (("Content-Length", str(len(response.body))), ("Content-Type", "application/json")):
                del response.headers[name]
                response.headers[name] = value
        return response

    async def send(self, message: Any) -> None:
        """Send a message of the application; ClientDisconnected once the connection is closing.

        uvicorn would raise a RuntimeError then, as if the application were at fault. But a close that we or the client
        have begun may come between any two sends: `writable` is awaited here, so that `close_sent` is read after it.
        """
        if message["type"] == "websocket.send":
            await self.writable.wait()
            if self.close_sent:
                raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # otherwise uvicorn would log that the application ended without an answer

    def put(self, prefix: bytes, body: bytes, suffix: bytes) -> bool:
        """Send a text of three parts at once; False, and nothing is sent, if the connection is not open or has no room.

        Sending one text to a thousand clients then costs little more than a thousand writes: its body is encoded once
        for all of them, and nothing is awaited. The frame bypasses `conn`, so it must not come between the frames of
        another message: uvicorn sends each message as one frame, and extensions, which change frames, are off.
        """
        conn = self.conn
        if conn.state is not OPEN or conn.extensions or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(b"".join((_frame(len(prefix) + len(body) + len(suffix)), prefix, body, suffix)))
        return True

    def cut(self) -> None:
        """Break the connection off and drop everything that waits to be sent."""
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Close the connection to a peer that did not answer a ping, even if it does not read what was sent."""
        self.pong_timer = self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": UNANSWERED, "reason": "no answer to a ping"})
        self.conn.fail(UNANSWERED, "no answer to a ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_seconds, self.transport.abort)


def _is_text(frames: Sequence[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(4096)
def _frame(size: int) -> bytes:
    """The header of a server's text frame, RFC 6455 section 5.2."""
    if size < 126:
        return bytes((TEXT_FRAME, size))
    return struct.pack("!BBH", TEXT_FRAME, 126, size) if size < 65536 else struct.pack("!BBQ", TEXT_FRAME, 127, size)
