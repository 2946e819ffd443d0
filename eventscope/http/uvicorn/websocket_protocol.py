"""uvicorn's end of a WebSocket, which can be cut off, and lets go of a peer that does not answer."""

import logging
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

CUT: Final = "eventscope.cut"  # the ASGI extension that breaks a connection off
PUT: Final = "eventscope.put"  # and the one that sends a text at once, or tells that it cannot
MOST_SHOWN: Final = 200  # letters of a reason in the log
TEXT_FRAME: Final = 0x81
UNANSWERED: Final = 4410  # clients connect again on a code of their own range, and give up on the 1011 of uvicorn
CLOSE_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection."""

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the application, or close with 1007 on a text that is not UTF-8 (RFC 6455, section 8.1)."""
        if self.curr_msg_data_type == "text" and not _is_text(self.frames):
            # uvicorn closes as well, but logs a traceback each time, as often as anybody cares to send such a text
            self.frames = []
            if not self.close_sent:
                self.conn.send_close(1007)
                self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def handle_connect(self, event: Request) -> None:
        """Offer the way to cut it off to the application."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions = cast("dict[str, object]", self.scope["extensions"])
            extensions[CUT] = self.cut
            extensions[PUT] = self.put
        else:
            reason = (self.response.body or b"").decode(errors="replace").strip()
            logger.info("a WebSocket is refused with %d: %s", self.response.status_code, reason[:MOST_SHOWN])

    async def send(self, message: Any) -> None:
        """Send what the application says. That the connection is being closed is no fault of who goes on sending."""
        if message["type"] == "websocket.send":
            await self.writable.wait()
            if self.close_sent:
                raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # for uvicorn logs an error of an application that has answered so

    def put(self, head: bytes, body: bytes, tail: bytes) -> bool:
        """Send a text of three parts, if there is room for it and the connection is open.

        A thousand clients that are sent the same cost little more than a thousand writes: the body is encoded once for
        all of them, and nothing has to be awaited.
        """
        conn = self.conn
        if conn.state is not OPEN or conn.extensions or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(b"".join((_frame(len(head) + len(body) + len(tail)), head, body, tail)))
        return True

    def cut(self) -> None:
        """Break the connection off, with all that waits to be sent."""
        self.transport.abort()

    def keepalive_timeout(self) -> None:
        """Close on a peer that does not answer, and do not wait for it to read what it was sent."""
        self.pong_timer = self.pending_ping_payload = None
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": UNANSWERED, "reason": "no answer to a ping"})
        self.conn.fail(UNANSWERED, "no answer to a ping")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def _is_text(frames: Sequence[bytes]) -> bool:
    try:
        b"".join(frames).decode()
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(4096)
def _frame(size: int) -> bytes:
    """What goes before the text in a frame from a server, RFC 6455 section 5.2."""
    if size < 126:
        return bytes((TEXT_FRAME, size))
    return struct.pack("!BBH", TEXT_FRAME, 126, size) if size < 65536 else struct.pack("!BBQ", TEXT_FRAME, 127, size)
