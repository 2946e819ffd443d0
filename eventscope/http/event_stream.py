"""GraphQL over server-sent events, for clients without WebSockets: the results of one operation as a stream.

The protocol is the distinct connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

A browser's `EventSource` reconnects after each end of a stream, and sends the last `id` it got in `Last-Event-ID`.
So the `id` of a result is its cursor, and the end has an `id` that is answered with 204: do not reconnect.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.http import GraphQLRequestData
from strawberry.types.graphql import OperationType

from eventscope.background import cancel
from eventscope.errors import to_client
from eventscope.http.accept import parse_accept
from eventscope.http.admission import Admission
from eventscope.http.answer import body_of, encode_answer
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.resolvers import cursor
from eventscope.schema.build import Schema
from eventscope.schema.context import Context, Services
from eventscope.schema.outlet import Outlet
from eventscope.store.log import Log
from eventscope.subscriptions.live.sink import Gone

MEDIA_TYPE: Final = "text/event-stream"
LAST_ID: Final = "last-event-id"
FINAL_ID: Final = "complete"  # no cursor looks like that
COMPLETE: Final = b"event: complete\ndata: \n\n"
COMPLETE_FOR_GOOD: Final = b"id: " + FINAL_ID.encode() + b"\n" + COMPLETE
RETRYABLE: Final = frozenset({"UNAVAILABLE", "TIMEOUT", "INTERNAL"})  # codes of errors after which to reconnect
COMMENT: Final = b":\n\n"


def is_requested(accept: str | None) -> bool:
    """Whether the client accepts an event stream by name; `*/*` does not count."""
    return any(name == MEDIA_TYPE and weight > 0 for name, weight in parse_accept(accept or ""))


@dataclass(frozen=True, slots=True)
class EventStreams:
    """What all streams of an endpoint share. `refuse` makes the answer when too many are open."""

    schema: Schema
    services: Services
    admission: Admission
    encode: Callable[[object], bytes]
    refuse: Callable[[str], Response]
    limits: HttpLimits

    def stream(self, request: Request, operation: GraphQLRequestData) -> Response:
        """The stream of the operation's results; of an error, if it is a mutation by GET."""
        last_id = request.headers.get(LAST_ID) or None
        if last_id == FINAL_ID:
            return Response(status_code=204)
        allowed = OperationType.from_http("GET" if request.method == "GET" else "POST")
        return EventStream(self, operation, allowed, last_id)


class EventStream(Response):
    """The results of one operation, each as an event `next`, then an event `complete`.

    When the process is ending, the stream ends without `complete`, so that its client reconnects to another process.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, streams: EventStreams, operation: GraphQLRequestData, allowed: set[OperationType], resume: str | None
    ) -> None:
        self.status_code = 200
        self.background = None
        self._streams = streams
        self._operation = operation
        self._allowed = allowed
        self._resume = resume
        # some proxies buffer small responses
        self.init_headers({"x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, unless too many streams are open."""
        client = scope.get("client")
        with self._streams.admission.admit(client[0] if client else "") as refusal:
            if refusal is None:
                await self._stream(receive, send)
            else:
                self._streams.services.feed.observer.on_drop("full")
                await self._streams.refuse(refusal)(scope, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        """Stream until the operation is complete, the client leaves or stops reading, or the process ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        services, limits = self._streams.services, self._streams.limits
        sink = EventStreamSink(send, services.log, limits)
        disconnect = asyncio.create_task(_wait_for_disconnect(receive))
        work = (self._pump(sink), sink.keep_alive(), sink.stuck.wait(), services.ending.wait())
        tasks = [asyncio.create_task(one) for one in work]
        try:
            await asyncio.wait([disconnect, *tasks], return_when=asyncio.FIRST_COMPLETED)
            # before the tasks are cancelled: live delivery calls `send` of the sink from its own task
            sink.is_gone = True
            await cancel(*tasks)
            if sink.stuck.is_set():  # a stuck client would not take the end either
                services.feed.observer.on_drop("stuck")
                await asyncio.wait([disconnect], timeout=limits.linger_seconds)
            elif not disconnect.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await cancel(disconnect, *tasks)

    async def _pump(self, sink: "EventStreamSink") -> None:
        operation, streams = self._operation, self._streams
        outlet = Outlet(sink, operation.query or "", operation.variables, operation.operation_name)
        context = Context(streams.services, outlet, self._resume)
        end = COMPLETE_FOR_GOOD
        with suppress(Gone):
            await sink.write(COMMENT)
            try:
                results: AsyncGenerator[Any, None] = await streams.schema.stream(
                    operation.query,
                    operation.variables,
                    context,
                    operation_name=operation.operation_name,
                    allowed_operation_types=self._allowed,
                )
                async with aclosing(results):
                    async for result in results:
                        body, _ = body_of(result)
                        end = _end_after(body)
                        await sink.write(_next(await self._encode(body), context.last_cursor))
            except Gone:
                raise
            except Exception as error:
                body = {"errors": [to_client(error)]}
                end = _end_after(body)
                await sink.write(_next(streams.encode(body)))
            finally:
                context.leave()
            await sink.write(end)

    async def _encode(self, body: dict[str, Any]) -> bytes:
        encode = self._streams.encode
        try:
            return encode(await encode_answer(body))
        except TypeError as error:  # the log holds a value that JSON cannot express; the subscriber must learn of it
            return encode({"data": None, "errors": [to_client(error)]})


class EventStreamSink:
    """The sink of one stream, for results of its own operation and for those that it shares with others."""

    def __init__(self, send: Send, log: Log, limits: HttpLimits) -> None:
        self.is_gone = False
        self.stuck = asyncio.Event()
        self._send = send
        self._log = log
        self._limits = limits
        self._writes = 0

    def send(self, text: str, position: int) -> Coroutine[Any, Any, None]:
        """Send one result, which is JSON; raises Gone once the stream has ended.

        Returns the coroutine of the server's `send` itself, which live delivery may step outside any task.
        """
        if self.is_gone or self.stuck.is_set():
            raise Gone
        self._writes += 1
        message = {
            "type": "http.response.body",
            "body": _next(text.encode(), cursor.encode("e", position, tag=self._log.identity.tag)),
            "more_body": True,
        }
        return cast("Coroutine[Any, Any, None]", self._send(message))

    def cut(self) -> None:
        """End the stream: the client has stopped reading."""
        self.stuck.set()

    async def write(self, text: bytes) -> None:
        """Send some text; raises Gone if the client does not read it in time."""
        self._writes += 1
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                await self._send({"type": "http.response.body", "body": text, "more_body": True})
        except TimeoutError:
            self.cut()
            raise Gone from None
        except OSError as error:
            raise Gone from error

    async def keep_alive(self) -> None:
        """Send a comment whenever nothing has been sent for a while."""
        while not self.stuck.is_set():
            before = self._writes
            await asyncio.sleep(self._limits.keep_seconds)
            if self._writes == before:
                with suppress(Gone):
                    await self.write(COMMENT)


def of_one(body: Mapping[str, Any], encode: Callable[[object], bytes]) -> Response:
    """A whole event stream of one result, without execution."""
    return Response(_next(encode(body)) + _end_after(body), media_type=MEDIA_TYPE)


def _next(result: bytes, id: str | None = None) -> bytes:
    event = b"event: next\ndata: %b\n\n" % result
    return event if id is None else b"id: %b\n%b" % (id.encode(), event)


def _end_after(result: Mapping[str, Any]) -> bytes:
    """How to end the stream if this is its last result: so that the client reconnects, or not."""
    codes = {error["extensions"]["code"] for error in result.get("errors", ()) if result.get("data") is None}
    return COMPLETE if codes & RETRYABLE else COMPLETE_FOR_GOOD


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
