"""A WebSocket as Strawberry uses it, for text frames only, which cuts off a client that stops reading."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from starlette.websockets import WebSocketDisconnected as ClosedByUs
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import (
    NonJsonMessageReceived,
    NonTextMessageReceived,
    WebSocketDisconnected,
)

from eventscope.errors import BadInput, to_client
from eventscope.http.answer import encode_answer
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.http.uvicorn.websocket_protocol import CUT
from eventscope.terminal import safe

MOST_REASON: Final = 123  # bytes of a close reason, RFC 6455 section 5.5.1
FULL: Final = 1013
INTERNAL_ERROR: Final = 4500
LEFT: Final = (WebSocketDisconnect, ClosedByUs, OSError)  # raised by a send after the connection has ended
# labels of the metric of connections that we close
REASONS: Final = {FULL: "full", 4403: "forbidden", 4408: "silent", INTERNAL_ERROR: "internal"}

# in the task of an operation: what to do once its result is encoded, or at its end
when_written: ContextVar[ExitStack | None] = ContextVar("when_written", default=None)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InexactMessage:
    """A message with a number or a key that cannot be parsed without loss; `roughly` is its inexact content."""

    roughly: Any
    error: BadInput


class Adapter(ASGIWebSocketAdapter):
    """One socket. `on_drop` is called with the reason if we close or cut the connection."""

    def __init__(
        self, view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any], request: WebSocket, response: WebSocket
    ) -> None:
        super().__init__(view, request, response)
        self.is_gone = False
        self.on_drop: Callable[[str], None] = lambda reason: None
        limits: HttpLimits = view.limits  # type: ignore[attr-defined]  # the view is our endpoint
        self._send_seconds = limits.send_seconds

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """The client's messages; an `InexactMessage` for one that cannot be parsed without loss."""
        decode = self.view.decode_json
        try:
            while self.ws.application_state != WebSocketState.DISCONNECTED:
                text = await self.ws.receive_text()
                try:
                    message = decode(text)
                except BadInput as error:
                    message = InexactMessage(roughly(text), error)
                except JSONDecodeError as error:
                    raise NonJsonMessageReceived from error
                yield message
        except KeyError as error:
            raise NonTextMessageReceived from error
        except WebSocketDisconnect:
            return

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send one message; raises WebSocketDisconnected if the client is gone or does not read it in time."""
        if self.is_gone:
            raise WebSocketDisconnected
        text = await self._encode(message)
        if (stack := when_written.get()) is not None:
            stack.close()  # before the send: a slow client then holds back only the text, and no read budget
        try:
            async with asyncio.timeout(self._send_seconds):
                await self.ws.send_text(text)
        except TimeoutError as error:
            self.cut()
            raise WebSocketDisconnected from error
        except LEFT as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close, with the reason cut so that it fits into the frame."""
        if self.ws.application_state == WebSocketState.DISCONNECTED or self.is_gone:
            return
        self.on_drop(REASONS.get(code, "protocol"))
        logger.info("a WebSocket is closed with %d: %s", code, safe(reason[:MOST_REASON]))
        raw_reason = reason.encode()
        if len(raw_reason) > MOST_REASON:
            reason = raw_reason[: MOST_REASON - 3].decode(errors="ignore") + "..."
        try:
            async with asyncio.timeout(self._send_seconds):
                await self.ws.close(code=code, reason=reason)
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """Break the connection off: a close frame would wait behind everything that the client has not read."""
        if not self.is_gone:
            self.is_gone = True
            self.on_drop("stuck")
            self.ws.scope.get("extensions", {}).get(CUT, _nothing)()

    async def _encode(self, message: Mapping[str, object]) -> str:
        try:
            payload = message.get("payload")
            encodable = {**message, "payload": await encode_answer(payload)} if isinstance(payload, dict) else message
            return self.view.encode_json_string(encodable)
        except TypeError as error:  # the log holds a value that JSON cannot express; the subscriber must learn of it
            return self.view.encode_json_string({**message, "payload": {"data": None, "errors": [to_client(error)]}})


def roughly(text: str) -> Any:
    """The content of a JSON text, with inexact numbers; None if it is nested too deeply to parse."""
    try:
        return json.loads(text, parse_int=float)
    except RecursionError:
        return None


def _nothing() -> None:
    """Used where the server offers no `cut`: it notices a stuck client by itself, later."""
