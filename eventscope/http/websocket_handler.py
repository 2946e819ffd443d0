"""GraphQL over WebSocket by graphql-transport-ws, with errors where Strawberry's handler would just end the connection.

The protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing, suppress
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, cast

from graphql import GraphQLError, GraphQLFormattedError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage, SubscribeMessage
from strawberry.types import ExecutionResult

from eventscope.errors import EventscopeError, NotPersisted, TooComplex, to_client
from eventscope.http.admission import Admission
from eventscope.http.persisted import is_persisted
from eventscope.http.websocket_adapter import FULL, INTERNAL_ERROR, Adapter, InexactMessage, when_written
from eventscope.http.websocket_sink import WebSocketSink
from eventscope.internals import Internals
from eventscope.schema.context import Context
from eventscope.schema.outlet import Outlet

MOST_ID: Final = 128
INTERNALS: Final = Internals(
    "strawberry-graphql",
    {
        BaseGraphQLTransportWSHandler: {
            "_get_pre_execution_close_reason": "error",
            "_send_result_stream": "operation result_source",
            "cleanup_operation": "operation_id",
            "handle": "",
            "handle_connection_init": "message",
            "handle_invalid_message": "error_message",
            "handle_message": "message",
            "handle_subscribe": "message",
            "handle_task_exception": "error",
            "run_operation": "operation",
        },
        Operation: {"send_initial_errors": "errors", "send_operation_message": "message"},
    },
    {
        BaseGraphQLTransportWSHandler: "connection_acknowledged connection_init_wait_timeout "
        "max_subscriptions_per_connection operations",
        Operation: "completed id operation_name query variables",
    },
)

RunningOperation: TypeAlias = Operation[Context, None]

# those of the operation that the current task runs
current_outlet: ContextVar[Outlet | None] = ContextVar("current_outlet", default=None)
current_operation: ContextVar[RunningOperation | None] = ContextVar("current_operation", default=None)
logger = logging.getLogger(__name__)


class Handler(BaseGraphQLTransportWSHandler[Context, None]):
    """One connection."""

    @property
    def context(self) -> Context:
        """A new context for each operation, which has a read budget and data loaders of its own."""
        context = Context(self._services, current_outlet.get())
        if (stack := when_written.get()) is not None:
            stack.callback(context.leave)
        return context

    @context.setter
    def context(self, context: Context) -> None:
        self._services = context.services

    @property
    def _socket(self) -> Adapter:
        return cast("Adapter", self.websocket)

    async def handle(self) -> None:
        """Serve the connection, unless there are too many; it always ends with a close code."""
        self._socket.on_drop = self._services.feed.observer.on_drop
        admission: Admission = self.view.admission  # type: ignore[attr-defined]  # the view is our endpoint
        client = self._socket.ws.client
        with admission.admit("" if client is None else client.host) as refusal:
            if refusal is not None:
                await self.websocket.close(FULL, refusal)
                return
            try:
                await super().handle()
            except Exception:
                logger.exception("a WebSocket ended")
                await self.websocket.close(INTERNAL_ERROR, "Internal server error")

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Acknowledge the connection; the time limit for the client's message covers its handling too."""
        try:
            async with asyncio.timeout(self.connection_init_wait_timeout.total_seconds()):
                await super().handle_connection_init(message)
        except TimeoutError:
            await self.websocket.close(4408, "Connection initialisation timeout")

    async def run_operation(self, operation: RunningOperation) -> None:
        """Run one operation in a task of its own."""
        sink = WebSocketSink(self._socket, operation)
        current_operation.set(operation)
        current_outlet.set(Outlet(sink, operation.query, operation.variables, operation.operation_name))
        with ExitStack() as stack:
            when_written.set(stack)
            await super().run_operation(operation)

    async def _send_result_stream(self, operation: RunningOperation, result_source: AsyncGenerator[Any, None]) -> None:
        async with aclosing(_results(operation, result_source)) as results:
            await super()._send_result_stream(operation, results)

    async def cleanup_operation(self, operation_id: str) -> None:
        """End an operation; nothing more is sent for it, since the client may reuse its id for the next one."""
        if (operation := self.operations.get(operation_id)) is not None:
            operation.completed = True
        await super().cleanup_operation(operation_id)

    async def handle_task_exception(self, error: Exception) -> None:
        """Send the client the error that ended its operation; nothing if the client has left."""
        operation = current_operation.get()
        if isinstance(error, WebSocketDisconnected):
            return
        if operation is None:
            await super().handle_task_exception(error)
            return
        with suppress(Exception):  # `to_client` has logged the error, and sending itself may be what fails
            await _fail(operation, [to_client(error)])

    async def handle_message(self, message: Any) -> None:
        """Handle a message; close with 4400 if the protocol does not allow it."""
        inexact = message.error if isinstance(message, InexactMessage) else None
        if isinstance(message, InexactMessage):
            message = message.roughly
        problem = fault(message)
        if problem is not None:
            await self.handle_invalid_message(problem)
            return
        if inexact is not None and message["type"] == "subscribe" and self._is_new(message["id"]):
            await self._refuse(message["id"], inexact)
            return
        if message["type"] == "connection_init" and message.get("payload") is None:
            message = {"type": "connection_init"}
        await super().handle_message(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless the connection already runs as many as it may."""
        most = self.max_subscriptions_per_connection
        if is_persisted(message["payload"]) and self._is_new(message["id"]):
            await self._refuse(message["id"], NotPersisted())
        elif most is not None and len(self.operations) >= most and self._is_new(message["id"]):
            await self._refuse(
                message["id"],
                TooComplex(f"{most} operations run on this connection; complete one, or open another connection"),
            )
        else:
            await super().handle_subscribe(message)

    def _is_new(self, id: str) -> bool:
        """Whether an operation of that id may start; if not, the base class closes the connection as it must."""
        return self.connection_acknowledged and id not in self.operations

    async def _refuse(self, id: str, error: EventscopeError) -> None:
        payload = [cast("GraphQLFormattedError", to_client(error))]
        await self.send_message({"id": id, "type": "error", "payload": payload})

    @staticmethod
    def _get_pre_execution_close_reason(error: GraphQLError) -> str | None:
        return None  # an error in one operation is sent as such, and the others go on


async def _results(operation: RunningOperation, source: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The results, up to one that says why the stream of results failed, which is sent as an error message."""
    async for result in source:
        if isinstance(result, ExecutionResult) and _is_of_the_stream(result):
            await operation.send_initial_errors(result.errors or [])
            return
        yield result


def _is_of_the_stream(result: ExecutionResult) -> bool:
    """Whether the result's errors belong to no field, and so to the whole stream and not to a single event."""
    return result.data is None and bool(result.errors) and all(error.path is None for error in result.errors or ())


async def _fail(operation: RunningOperation, errors: list[dict[str, Any]]) -> None:
    payload = cast("list[GraphQLFormattedError]", errors)
    await operation.send_operation_message({"id": operation.id, "type": "error", "payload": payload})


def fault(message: object) -> str | None:
    """What is wrong with the message; None if the protocol allows it."""
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
    if not isinstance(payload, dict) or not (isinstance(payload.get("query"), str) or is_persisted(payload)):
        return "The payload must be an object with a query"
    for member in ("variables", "extensions"):
        if not isinstance(payload.get(member), dict | None):
            return f"{member} must be an object"
    return None if isinstance(payload.get("operationName"), str | None) else "operationName must be a string"
