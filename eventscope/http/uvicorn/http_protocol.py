"""uvicorn's end of a connection over HTTP, which waits for nobody for ever and leaves room for health checks."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from eventscope.errors import BadInput, Unavailable, to_client
from eventscope.http.uvicorn.bounds import SPARE, Bounds
from eventscope.internals import Internals

HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})
SPARE_SECONDS: Final = 2.0  # in which a connection over the bound must say what it wants
SLOW_SECONDS: Final = 10.0  # after which it is seen how much a client takes
LOOKS: Final = 4  # in the time that is waited at least


INTERNALS: Final = Internals(
    "uvicorn",
    {
        HttpToolsProtocol: {
            "connection_made": "transport",
            "connection_lost": "exc",
            "handle_websocket_upgrade": "",
            "on_message_begin": "",
            "on_headers_complete": "",
            "on_message_complete": "",
            "pause_writing": "",
            "resume_writing": "",
            "send_400_response": "msg",
        }
    },
    {
        HttpToolsProtocol: "app connections cycle flow loop transport",
        RequestResponseCycle: "disconnected message_event response_complete response_started",
        FlowControl: "read_paused",
    },
)


def _body(error: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"errors": [error]})


# not told to the log each time: it is logged once that there is no room
FULL: Final = _body(
    {"message": "Too many connections are open; try again later", "extensions": {"code": Unavailable.code}}
)


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, bounds: Bounds, **given: Any) -> None:
        super().__init__(**given)
        self._bounds = bounds
        self._has_room = True
        self._awaited: str | None = "headers"
        self._begun = False  # whether any of the next request has come
        self._since = 0.0
        self._paused: tuple[float, int] | None = None  # when, and how much waited for the client then
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is always one
        """Take the connection; if it is a spare one, it may have to make room for the next."""
        super().connection_made(transport)
        self._has_room = self._bounds.has_room(len(self.connections))
        if not self._has_room:
            spare = self._bounds.spare
            spare[self] = None
            if len(spare) > SPARE:
                next(iter(spare)).give_up("full")
            self.app = _Full(self.app, self._bounds)
        self._since = self.loop.time()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Look after it no more."""
        self._leave()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Leave it to the protocol of WebSockets, if there is room for one."""
        self._leave()
        if self._has_room:
            super().handle_websocket_upgrade()
        else:
            self._bounds.given_up("full")
            self._refuse(b"503 Service Unavailable", FULL, b"\r\nretry-after: 1")

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._awaited, self._begun, self._since = "headers", True, self.loop.time()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        super().on_headers_complete()
        self._awaited, self._since = "body", self.loop.time()

    def on_message_complete(self) -> None:
        """All of it is there."""
        super().on_message_complete()
        self._awaited, self._begun = None, False

    def pause_writing(self) -> None:
        """More waits for the client than it takes."""
        super().pause_writing()
        self._paused = (self.loop.time(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has taken it."""
        super().resume_writing()
        self._paused = None

    def _look(self) -> None:
        if self._is_too_slow():
            self.give_up("slow")
        elif self._is_too_late():
            self._end()
        else:
            self._look_later()

    def _look_later(self) -> None:
        least = min(SLOW_SECONDS, self._bounds.header_seconds, self._bounds.body_seconds)
        self._timer = self.loop.call_later(min(least, least if self._has_room else SPARE_SECONDS) / LOOKS, self._look)

    def _is_too_slow(self) -> bool:
        if self._paused is None or not self._bounds.client_rate:
            return False
        since, waited = self._paused
        seconds = self.loop.time() - since
        taken = waited - self.transport.get_write_buffer_size()
        return seconds > SLOW_SECONDS and taken < seconds * self._bounds.client_rate

    def _is_too_late(self) -> bool:
        if self._awaited is None or self.transport.is_closing():
            return False
        busy = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (busy and self._awaited == "headers"):
            self._since = self.loop.time()  # it is we who let it wait
            return False
        seconds = self._bounds.header_seconds if self._awaited == "headers" else self._bounds.body_seconds
        if not self._has_room:
            seconds = min(seconds, SPARE_SECONDS)
        return self.loop.time() - self._since > seconds

    def _end(self) -> None:
        self._bounds.given_up(self._awaited or "")
        if self._awaited == "body" and self.cycle is not None:
            if self.cycle.response_started:
                self.give_up(None)
                return
            self.cycle.disconnected = True  # what waits for the rest hears that it will not come
            self.cycle.message_event.set()
        if self._begun:
            self._refuse(b"408 Request Timeout", _body(to_client(BadInput("The request took too long to arrive"))))
        else:
            self.transport.close()

    def _refuse(self, status: bytes, body: bytes, more: bytes = b"") -> None:
        headers = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close%b" % (len(body), more)
        self.transport.write(b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, headers, body))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form that all errors have."""
        self._refuse(b"400 Bad Request", _body(to_client(BadInput(msg))))

    def give_up(self, reason: str | None) -> None:
        """Break the connection off; that is counted if there is a reason that was not counted before."""
        if reason is not None:
            self._bounds.given_up(reason)
        self._leave()
        self.transport.abort()

    def _leave(self) -> None:
        self._bounds.spare.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Full:
    """What is served on a connection over the bound."""

    def __init__(self, app: Any, bounds: Bounds) -> None:
        self._app: ASGIApp = app
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        self._bounds.given_up("full")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(FULL)),
            (b"connection", b"close"),
            (b"retry-after", b"1"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": FULL})
