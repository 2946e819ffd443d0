"""A WebSocket as Strawberry uses it: text frames only, no waiting for ever on a reader that has stopped reading."""

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
from eventscope.http.answer import encoded
from eventscope.http.uvicorn.websocket_protocol import CUT
from eventscope.terminal import safe

SEND_SECONDS: Final = 10
MOST_REASON: Final = 123  # bytes of a close reason, RFC 6455 section 5.5.1
FULL: Final = 1013
INTERNAL_ERROR: Final = 4500
LEFT: Final = (WebSocketDisconnect, ClosedByUs, OSError)  # what it means that nobody is there to be sent to
# why a connection is closed by us, as it is counted
REASONS: Final = {FULL: "full", 4403: "forbidden", 4408: "silent", INTERNAL_ERROR: "internal"}

# by the operation whose task this is: what is done once its result is written out, and at its end
when_written: ContextVar[ExitStack | None] = ContextVar("when_written", default=None)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inexact:
    """A message with a number or a key that would be changed by reading it; `roughly` is what it says otherwise."""

    roughly: Any
    error: BadInput


class Adapter(ASGIWebSocketAdapter):
    """One socket. `dropped` hears why it was closed, if that was our doing."""

    def __init__(
        self, view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any], request: WebSocket, response: WebSocket
    ) -> None:
        super().__init__(view, request, response)
        self.gone = False
        self.dropped: Callable[[str], None] = lambda reason: None

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """Messages as they come, and as an `Inexact` one that holds what cannot be kept."""
        decode = self.view.decode_json
        try:
            while self.ws.application_state != WebSocketState.DISCONNECTED:
                text = await self.ws.receive_text()
                try:
                    message = decode(text)
                except BadInput as error:
                    message = Inexact(roughly(text), error)
                except JSONDecodeError as error:
                    raise NonJsonMessageReceived from error
                yield message
        except KeyError as error:
            raise NonTextMessageReceived from error
        except WebSocketDisconnect:
            return

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send one message; who does not take it in time is cut off."""
        if self.gone:
            raise WebSocketDisconnected
        text = await self._encoded(message)
        if (stack := when_written.get()) is not None:
            stack.close()  # before it is sent: a client may take long to read, and holds nothing but the text meanwhile
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.ws.send_text(text)
        except TimeoutError as error:
            self.cut()
            raise WebSocketDisconnected from error
        except LEFT as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason that fits into the frame."""
        if self.ws.application_state == WebSocketState.DISCONNECTED or self.gone:
            return
        self.dropped(REASONS.get(code, "protocol"))
        logger.info("a WebSocket is closed with %d: %s", code, safe(reason[:MOST_REASON]))
        encoded = reason.encode()
        if len(encoded) > MOST_REASON:
            reason = encoded[: MOST_REASON - 3].decode(errors="ignore") + "..."
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.ws.close(code=code, reason=reason)
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """Break the connection off: a close frame would wait behind all that the other end does not read."""
        if not self.gone:
            self.gone = True
            self.dropped("stuck")
            self.ws.scope.get("extensions", {}).get(CUT, _nothing)()

    async def _encoded(self, message: Mapping[str, object]) -> str:
        try:
            payload = message.get("payload")
            written = {**message, "payload": await encoded(payload)} if isinstance(payload, dict) else message
            return self.view.encode_json_string(written)
        except TypeError as error:  # the log holds what JSON has no form for; the subscriber must hear that it is there
            return self.view.encode_json_string({**message, "payload": {"data": None, "errors": [to_client(error)]}})


def roughly(text: str) -> Any:
    """What a JSON text says but for its numbers; None when that cannot be told."""
    try:
        return json.loads(text, parse_int=float)
    except RecursionError:
        return None


def _nothing() -> None:
    """Another server than ours offers no way; it notices by itself, later."""
