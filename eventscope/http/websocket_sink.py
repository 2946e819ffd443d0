"""Sends one subscription's results over its WebSocket: encoded results in messages with the operation's id."""

from collections.abc import Callable

import orjson
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import Operation

from eventscope.http.uvicorn.websocket_protocol import PUT
from eventscope.http.websocket_adapter import LEFT, Adapter
from eventscope.schema.context import Context
from eventscope.subscriptions.live.sink import Gone


class WebSocketSink:
    """A sink for live delivery.

    `completed` and `is_gone` are checked before every send: live delivery calls from its own task, and goes on until it
    notices that the client has cancelled, while the client may already have started another operation with that id.
    """

    def __init__(self, adapter: Adapter, operation: Operation[Context, None]) -> None:
        self._adapter = adapter
        self._operation = operation
        self._send = adapter.ws.send
        self._put: Callable[[bytes, bytes, bytes], bool] = adapter.ws.scope.get("extensions", {}).get(PUT, _never)
        self._prefix = '{"id":' + orjson.dumps(operation.id).decode() + ',"type":"next","payload":'
        self._prefix_bytes = self._prefix.encode()

    def put(self, body: bytes, position: int) -> bool:
        """Send one result at once; False if that is not possible."""
        if self._operation.completed or self._adapter.is_gone:
            return False
        return self._put(self._prefix_bytes, body, b"}")

    async def send(self, text: str, position: int) -> None:
        """Send one result; raises Gone once the client has left or has cancelled the operation."""
        if self._operation.completed or self._adapter.is_gone:
            raise Gone
        try:
            await self._send({"type": "websocket.send", "text": self._prefix + text + "}"})
        except LEFT as error:
            raise Gone from error

    def cut(self) -> None:
        """Break the connection off."""
        self._adapter.cut()


def _never(prefix: bytes, body: bytes, suffix: bytes) -> bool:
    """Used where the server offers no `put`: everything goes by `send`."""
    return False
