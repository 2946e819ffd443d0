"""GraphQL over WebSocket by graphql-transport-ws, strict where Strawberry's handler would break off without a word.

The protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from graphql import GraphQLError, GraphQLFormattedError
from starlette.websockets import WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import SubscribeMessage

from eventscope.errors import TooComplex, told
from eventscope.schema.context import Context

SEND_SECONDS: Final = 10
MOST_REASON: Final = 123  # bytes of a close reason, RFC 6455 section 5.5.1
MOST_ID: Final = 128


class Adapter(ASGIWebSocketAdapter):
    """The socket: text frames only, and no waiting for ever on a reader that has stopped reading."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send one message; the socket counts as gone when it takes too long."""
        text = self._encoded(message)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.ws.send_text(text)
        except Exception as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason that fits into the frame."""
        if self.ws.application_state == WebSocketState.DISCONNECTED:
            return
        encoded = reason.encode()
        if len(encoded) > MOST_REASON:
            reason = encoded[: MOST_REASON - 3].decode(errors="ignore") + "..."
        await self.ws.close(code=code, reason=reason)

    def _encoded(self, message: Mapping[str, object]) -> str:
        try:
            return self.view.encode_json_string(message)
        except TypeError as error:  # the log holds what JSON has no form for; the subscriber must hear that it is there
            return self.view.encode_json_string({**message, "payload": {"data": None, "errors": [told(error)]}})


class Handler(BaseGraphQLTransportWSHandler[Context, None]):
    """One connection."""

    @property
    def context(self) -> Context:
        """A new context for each operation: what one may read, and what it has loaded, is its own."""
        return Context(self._services)

    @context.setter
    def context(self, given: Context) -> None:
        self._services = given.services

    async def handle_message(self, message: Any) -> None:
        """Close with 4400 on anything that is not of the protocol, else do what the message says."""
        problem = fault(message)
        if problem is not None:
            await self.handle_invalid_message(problem)
            return
        if message["type"] == "connection_init" and message.get("payload") is None:
            message = {"type": "connection_init"}
        await super().handle_message(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless as many as may run at once on one connection do already."""
        most = self.max_subscriptions_per_connection
        full = most is not None and len(self.operations) >= most and message["id"] not in self.operations
        if self.connection_acknowledged and full:
            error = TooComplex(f"{most} operations run on this connection; complete one, or open another connection")
            refusal = cast("GraphQLFormattedError", told(error))
            await self.send_message({"id": message["id"], "type": "error", "payload": [refusal]})
        else:
            await super().handle_subscribe(message)

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        return None  # an error in one operation is told as such, and the others go on


def fault(message: object) -> str | None:
    """What is wrong with the message; None when it is one of the protocol."""
    if not isinstance(message, dict):
        return "A message must be a JSON object"
    match message.get("type"):
        case "connection_init" | "ping" | "pong":
            return None if isinstance(message.get("payload"), dict | None) else "The payload must be an object"
        case "complete":
            return _id_fault(message)
        case "subscribe":
            return _id_fault(message) or _subscribe_fault(message.get("payload"))
        case _:
            return "Unknown message type"


def _id_fault(message: dict[str, object]) -> str | None:
    id = message.get("id")
    return None if isinstance(id, str) and 0 < len(id) <= MOST_ID else "The id must be a text of 1 to 128 characters"


def _subscribe_fault(payload: object) -> str | None:
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "The payload must be an object with a query"
    for member in ("variables", "extensions"):
        if not isinstance(payload.get(member), dict | None):
            return f"{member} must be an object"
    return None if isinstance(payload.get("operationName"), str | None) else "operationName must be a string"
