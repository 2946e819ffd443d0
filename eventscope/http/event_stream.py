"""GraphQL over server-sent events, for clients that cannot do WebSockets: one operation, and its results as a stream.

The protocol is the distinct connections mode of https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

A browser's `EventSource` asks again whenever a stream has ended, for whatever reason, and says in `Last-Event-ID` which
`id` it saw last. So results have their cursor as `id`, and the end has one that is answered with 204: do not ask again.
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
from eventscope.http.accept import accepted
from eventscope.http.admission import Admission
from eventscope.http.answer import encoded
from eventscope.http.fast_path import body_of
from eventscope.resolvers import cursor
from eventscope.schema.build import Schema
from eventscope.schema.context import Context, Services
from eventscope.schema.outlet import Outlet
from eventscope.store.log import Log
from eventscope.subscriptions.live.sink import Gone

MEDIA_TYPE: Final = "text/event-stream"
KEEP_SECONDS: Final = 12.0  # proxies give up connections that are silent for a minute, some for 15 seconds
SEND_SECONDS: Final = 10.0
LINGER_SECONDS: Final = 20.0  # by then the system has dropped a peer that stopped reading
ASKED_BEFORE: Final = "last-event-id"
FINISHED: Final = "complete"  # no cursor is written like that
COMPLETE: Final = b"event: complete\ndata: \n\n"
COMPLETE_FOR_GOOD: Final = b"id: " + FINISHED.encode() + b"\n" + COMPLETE
PASSING: Final = frozenset({"UNAVAILABLE", "TIMEOUT", "INTERNAL"})  # codes of errors after which to ask again
COMMENT: Final = b":\n\n"


def wanted(accept: str | None) -> bool:
    """Whether the client takes an event stream; `*/*` does not ask for one."""
    return any(name == MEDIA_TYPE and weight > 0 for name, weight in accepted(accept or ""))


@dataclass(frozen=True, slots=True)
class EventStreams:
    """What all streams of an endpoint have in common. `refused` makes the answer to one too many."""

    schema: Schema
    services: Services
    admission: Admission
    encode: Callable[[object], bytes]
    refused: Callable[[str], Response]

    def stream(self, request: Request, asked: GraphQLRequestData) -> Response:
        """The answer to what was asked, unless it is a mutation by GET, which is answered by an error."""
        last_id = request.headers.get(ASKED_BEFORE) or None
        if last_id == FINISHED:
            return Response(status_code=204)
        allowed = OperationType.from_http("GET" if request.method == "GET" else "POST")
        return EventStream(self, asked, allowed, last_id)


class EventStream(Response):
    """The results of one operation, each as an event `next`, then `complete`.

    When the process is ending, the stream ends without that word, so that its client goes on elsewhere.
    """

    media_type = MEDIA_TYPE

    def __init__(
        self, streaming: EventStreams, asked: GraphQLRequestData, allowed: set[OperationType], resume: str | None
    ) -> None:
        self.status_code = 200
        self.background = None
        self._streaming = streaming
        self._asked = asked
        self._allowed = allowed
        self._resume = resume
        # some proxies keep what they are sent until it is large
        self.init_headers({"x-accel-buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, if there is room for one more."""
        client = scope.get("client")
        with self._streaming.admission.asked(client[0] if client else "") as refusal:
            if refusal is None:
                await self._stream(receive, send)
            else:
                self._streaming.services.feed.observer.dropped("full")
                await self._streaming.refused(refusal)(scope, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        """Until the operation is complete, the client leaves or stops reading, or the process ends."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        line = EventStreamSink(send, self._streaming.services.log)
        leaving = asyncio.create_task(_left(receive))
        ending = self._streaming.services.ending.wait()
        working = [asyncio.create_task(one) for one in (self._pump(line), line.keep(), line.stuck.wait(), ending)]
        try:
            await asyncio.wait([leaving, *working], return_when=asyncio.FIRST_COMPLETED)
            line.gone = True
            await cancel(*working)
            if line.stuck.is_set():  # and would not take the end either
                self._streaming.services.feed.observer.dropped("stuck")
                await asyncio.wait([leaving], timeout=LINGER_SECONDS)
            elif not leaving.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await cancel(leaving, *working)

    async def _pump(self, line: "EventStreamSink") -> None:
        asked, streaming = self._asked, self._streaming
        outlet = Outlet(line, asked.query or "", asked.variables, asked.operation_name)
        context = Context(streaming.services, outlet, self._resume)
        end = COMPLETE_FOR_GOOD
        with suppress(Gone):
            await line.say(COMMENT)
            try:
                results: AsyncGenerator[Any, None] = await streaming.schema.stream(
                    asked.query,
                    asked.variables,
                    context,
                    operation_name=asked.operation_name,
                    allowed_operation_types=self._allowed,
                )
                async with aclosing(results):
                    async for result in results:
                        body, _ = body_of(result)
                        end = _end_after(body)
                        await line.say(_next(await self._encoded(body), context.reached))
            except Gone:
                raise
            except Exception as error:
                body = {"errors": [to_client(error)]}
                end = _end_after(body)
                await line.say(_next(streaming.encode(body)))
            finally:
                context.leave()
            await line.say(end)

    async def _encoded(self, body: dict[str, Any]) -> bytes:
        encode = self._streaming.encode
        try:
            return encode(await encoded(body))
        except TypeError as error:  # the log holds what JSON has no form for; the subscriber must hear that it is there
            return encode({"data": None, "errors": [to_client(error)]})


class EventStreamSink:
    """The way to the client, for its own results and for those that are shared with others."""

    def __init__(self, send: Send, log: Log) -> None:
        self.gone = False
        self.stuck = asyncio.Event()
        self._send = send
        self._log = log
        self._said = 0

    def send(self, text: str, reached: int) -> Coroutine[Any, Any, None]:
        """Send one result, which is JSON; Gone once the client is."""
        if self.gone or self.stuck.is_set():
            raise Gone
        self._said += 1
        message = {
            "type": "http.response.body",
            "body": _next(text.encode(), cursor.encode("e", reached, tag=self._log.identity.tag)),
            "more_body": True,
        }
        return cast("Coroutine[Any, Any, None]", self._send(message))

    def cut(self) -> None:
        """Give the client up: it has stopped reading."""
        self.stuck.set()

    async def say(self, text: bytes) -> None:
        """Send that; Gone when the client does not take it in time."""
        self._said += 1
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._send({"type": "http.response.body", "body": text, "more_body": True})
        except TimeoutError:
            self.cut()
            raise Gone from None
        except OSError as error:
            raise Gone from error

    async def keep(self) -> None:
        """Say something whenever nothing was said for a while."""
        while not self.stuck.is_set():
            before = self._said
            await asyncio.sleep(KEEP_SECONDS)
            if self._said == before:
                with suppress(Gone):
                    await self.say(COMMENT)


def of_one(body: Mapping[str, Any], encode: Callable[[object], bytes]) -> Response:
    """A whole event stream, of one result that needs no execution."""
    return Response(_next(encode(body)) + _end_after(body), media_type=MEDIA_TYPE)


def _next(result: bytes, id: str | None = None) -> bytes:
    event = b"event: next\ndata: %b\n\n" % result
    return event if id is None else b"id: %b\n%b" % (id.encode(), event)


def _end_after(result: Mapping[str, Any]) -> bytes:
    """What to end with if nothing comes after this result: whether it is of use to ask again."""
    codes = {error["extensions"]["code"] for error in result.get("errors", ()) if result.get("data") is None}
    return COMPLETE if codes & PASSING else COMPLETE_FOR_GOOD


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
