"""uvicorn's end of an HTTP connection, which drops slow clients and always leaves room for health checks."""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from eventscope.errors import BadInput, to_client
from eventscope.http.uvicorn import handshake, ignored_upgrade, refusal, whole_response
from eventscope.http.uvicorn.bounds import SPARE, Bounds
from eventscope.http.uvicorn.unread import unread
from eventscope.internals import Internals

MOST_PIPELINED: Final = 100  # requests that a client has sent before the answer to an earlier one
BODY_SHARE: Final = 8  # bytes around a body, for each byte of it: chunks may be small
LOOKS: Final = 4  # checks within the shortest of the time limits


INTERNALS: Final = Internals(
    "uvicorn",
    {
        HttpToolsProtocol: {
            "connection_made": "transport",
            "connection_lost": "exc",
            "data_received": "data",
            "handle_websocket_upgrade": "",
            "on_body": "body",
            "on_message_begin": "",
            "on_headers_complete": "",
            "on_message_complete": "",
            "on_response_complete": "",
            "pause_writing": "",
            "resume_writing": "",
            "send_400_response": "msg",
        }
    },
    {
        HttpToolsProtocol: "_should_upgrade _start_asgi_task app connections cycle flow headers "
        "loop parser pipeline scope server_state transport url",
        RequestResponseCycle: "disconnected message_event response_complete response_started",
        FlowControl: "read_paused resume_reading",
    },
)


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, bounds: Bounds, **options: Any) -> None:
        super().__init__(**options)
        self._bounds = bounds
        self._has_room = True
        self._next: str | None = "headers"  # what the client is to send next; None while we answer
        self._has_begun = False  # whether the client has sent any part of the next request
        self._since = 0.0
        self._overhead = 0  # bytes of the present request beside its body, without those of the packet it begins in
        self._pause: tuple[float, int] | None = None  # when it began, and how many bytes were waiting for the client
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is always one
        """Accept the connection; over the bound it becomes a spare one, and the oldest spare one may be dropped."""
        super().connection_made(transport)
        self._has_room = self._bounds.has_room(len(self.connections))
        if not self._has_room:
            spare = self._bounds.spare
            spare[self] = None
            if len(spare) > SPARE:
                next(iter(spare)).drop("full")
            self.app = refusal.Full(self.app, self._bounds)
        self._since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching the connection."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent. Unlike uvicorn, read on after an upgrade that we do not offer, such as h2c."""
        self._overhead += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self.parser, head = ignored_upgrade.reader(self, self.headers)
                self.data_received(head + data[upgrade.args[0] :])
        else:
            if self._next is not None and self._overhead > self._bounds.head_bytes:
                self._refuse_size()

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection to the WebSocket protocol, unless it is over the bound or would hang there."""
        self._stop_watching()
        if not self._has_room:
            self._bounds.on_drop("full")
            self._refuse(b"503 Service Unavailable", refusal.FULL, b"\r\nretry-after: 1")
        elif handshake.is_too_large(self.url, self.headers):
            self._refuse_size()
        elif handshake.has_body(self.headers):
            self._refuse(b"400 Bad Request", refusal.body(to_client(BadInput("A WebSocket handshake has no body"))))
        else:
            super().handle_websocket_upgrade()
            self._timer = self.loop.call_later(self._bounds.header_seconds, self._end_handshake)

    def _end_handshake(self) -> None:
        if not getattr(self.transport.get_protocol(), "handshake_complete", True):
            self.drop("headers")

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError("too many requests at once")  # the parser stops
        super().on_message_begin()
        self._overhead = 0
        self.scope["extensions"] = whole_response.EXTENSIONS
        self._next, self._has_begun, self._since = "headers", True, self.loop.time()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._overhead -= (1 + BODY_SHARE) * len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        super().on_headers_complete()
        self._next, self._since = "body", self.loop.time()

    def on_message_complete(self) -> None:
        """The request is complete."""
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # its body follows, see `ignored_upgrade`
        super().on_message_complete()
        self._next, self._has_begun = None, False
        if (
            self.cycle is not None and self.cycle.response_complete
        ):  # it was answered early, and the client may now send the next request
            self._since = self.loop.time()

    def on_response_complete(self) -> None:
        """The request is answered. `_look` ends idle connections: a timer for each answer would slow small pages."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        self.flow.resume_reading()
        self._since = self.loop.time()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        super().pause_writing()
        self._pause = (self.loop.time(), unread(self.transport))

    def resume_writing(self) -> None:
        """The client has read most of what waited for it."""
        super().resume_writing()
        self._pause = None

    def _look(self) -> None:
        if self._is_too_slow():
            self.drop("slow")
        elif self._is_too_late():
            self._time_out()
        elif self._is_idle():
            self.transport.close()
        else:
            self._look_later()

    def _look_later(self) -> None:
        bounds = self._bounds
        least = min(bounds.slow_seconds, bounds.header_seconds, bounds.body_seconds, bounds.idle_seconds)
        if not self._has_room:
            least = min(least, bounds.spare_seconds)
        self._timer = self.loop.call_later(least / LOOKS, self._look)

    def _is_too_slow(self) -> bool:
        if self._pause is None or not self._bounds.client_rate:
            return False
        since, size = self._pause
        seconds = self.loop.time() - since
        # nothing is added to the buffer during a pause, so what is missing has been read
        progress = size - unread(self.transport)
        return seconds > self._bounds.slow_seconds and progress < seconds * self._bounds.client_rate

    def _is_too_late(self) -> bool:
        if self._next is None or self.transport.is_closing():
            return False
        is_busy = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (is_busy and self._next == "headers"):
            self._since = self.loop.time()  # the client waits for us, so its time starts again
            return False
        seconds = self._bounds.header_seconds if self._next == "headers" else self._bounds.body_seconds
        if not self._has_room:
            seconds = min(seconds, self._bounds.spare_seconds)
        return self.loop.time() - self._since > seconds

    def _is_idle(self) -> bool:
        """Whether the client has sent no request for too long since the last answer."""
        if self.transport.get_write_buffer_size():  # the client still reads the answer
            self._since = self.loop.time()
        is_answered = self._next is None and self.cycle is not None and self.cycle.response_complete
        return is_answered and self.loop.time() - self._since > self._bounds.idle_seconds

    def _time_out(self) -> None:
        self._bounds.on_drop(self._next or "")
        if self._next == "body" and self.cycle is not None:
            if self.cycle.response_started:
                self.drop(None)
                return
            self.cycle.disconnected = True  # ends an application that waits for the rest of the body
            self.cycle.message_event.set()
        if self._has_begun:
            self._refuse(
                b"408 Request Timeout", refusal.body(to_client(BadInput("The request took too long to arrive")))
            )
        else:
            self.transport.close()

    def _refuse_size(self) -> None:
        self._bounds.on_drop("large")
        if self.cycle is not None and not self.cycle.response_complete:
            self.drop(None)  # an answer is on its way, so this cannot be answered
        else:
            message = "The request has too much beside its body: shorten its headers or address"
            self._refuse(b"431 Request Header Fields Too Large", refusal.body(to_client(BadInput(message))))

    def _refuse(self, status: bytes, body: bytes, more: bytes = b"") -> None:
        headers = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close%b" % (len(body), more)
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, headers, body))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP in the form of all errors."""
        self._refuse(b"400 Bad Request", refusal.body(to_client(BadInput(msg))))

    def drop(self, reason: str | None) -> None:
        """Break the connection off; it is counted with the reason, unless that is None."""
        if reason is not None:
            self._bounds.on_drop(reason)
        self._stop_watching()
        self.transport.abort()

    def _stop_watching(self) -> None:
        self._bounds.spare.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
