"""The GraphQL endpoint: Strawberry's view, but strict about requests, with errors in the form that clients expect."""

import json
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, cast

import orjson
from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

from eventscope.errors import BadInput, NotOverHttp, NotPersisted, Unavailable, to_client
from eventscope.http import event_stream, websocket_handler
from eventscope.http.admission import Admission
from eventscope.http.answer import body_of, encode_answer
from eventscope.http.event_stream import EventStreams
from eventscope.http.fast_path import FastPath
from eventscope.http.graphiql import wants_html
from eventscope.http.negotiation import JSON, RESPONSE, negotiate, status
from eventscope.http.persisted import is_persisted
from eventscope.http.refusals import AGAIN
from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.http.websocket_adapter import Adapter
from eventscope.http.websocket_handler import Handler
from eventscope.schema.build import Schema
from eventscope.schema.context import Context, Services
from eventscope.schema.direct import Direct
from eventscope.store.values import json_text
from eventscope.store.values.documents import plain

NOT_READ: Final = ("INVALID_JSON", "TOO_DEEP")
MOST_OPERATIONS: Final = 20  # running on one WebSocket
MOST_BODY: Final = 262_144  # bytes
MOST_URL: Final = 8_192  # bytes after the question mark
NOT_A_REQUEST: Final = "The body must be a JSON object with a query"
NO_BATCHES: Final = "Several operations in one request are not supported: send each in a request of its own"
NOT_IN_URL: Final = "The URL has no query; add ?query=, or use POST"


class Endpoint(GraphQL[Context, None]):
    """`/graphql` for programs: queries and mutations by POST, queries also by GET, everything over WebSocket.

    All of these can also be answered as an event stream, except mutations by GET.
    """

    websocket_adapter_class = Adapter
    graphql_transport_ws_handler_class = Handler

    def __init__(
        self,
        schema: Schema,
        services: Services,
        *,
        html: Callable[[], Response] | None,
        admission: Admission,
        limits: HttpLimits,
        direct: Direct | None = None,
    ) -> None:
        websocket_handler.INTERNALS.demand()
        super().__init__(
            schema,
            graphql_ide=None,
            allow_queries_via_get=True,
            subscription_protocols=["graphql-transport-ws"],
            connection_init_wait_timeout=timedelta(seconds=limits.init_seconds),
            max_subscriptions_per_connection=MOST_OPERATIONS,
            allowed_origins=("*",),  # the gate has checked the origin
        )
        self.admission = admission
        self.limits = limits
        self._services = services
        self._streaming = EventStreams(
            schema,
            services,
            admission,
            self.encode_json,
            lambda why: _failure(503, to_client(Unavailable(why)), JSON, AGAIN),
            limits,
        )
        self._html = html
        self._fast_path = (
            None
            if direct is None
            else FastPath(
                direct,
                lambda: Context(services),
                self.encode_json,
                MOST_BODY,
            )
        )

    async def get_context(self, request: Request | WebSocket, response: Response | WebSocket) -> Context:
        """The context of one operation."""
        context = Context(self._services)
        request.state.context = context
        return context

    def encode_json(self, data: object) -> bytes:
        """JSON by orjson, for answers over HTTP and over WebSocket."""
        return orjson.dumps(data, default=plain)

    def decode_json(self, data: str | bytes) -> object:
        """JSON without loss; raises BadInput if a number or key cannot be kept, JSONDecodeError for invalid JSON."""
        try:
            # integers of any size, since not everything in a request goes into the log
            return json_text.loads(_bytes(data), any_integer=True)
        except json_text.Fault as fault:
            if fault.code in NOT_READ:
                raise json.JSONDecodeError(str(fault), "", 0) from None
            raise BadInput(str(fault), fault.path or None) from None

    def should_render_graphql_ide(self, request: object) -> bool:
        """Never: requests for the page have already been answered."""
        return False

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData:
        """The request, if its media type and shape are right; else HTTPException, BadInput or NotPersisted."""
        if request.method == "GET":
            body: object = self._from_url(request.query_params)
        else:
            media_type = (request.content_type or "").partition(";")[0].strip().lower()
            if media_type != JSON:
                raise HTTPException(415, f"Content-Type must be {JSON}")
            if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
                raise HTTPException(415, "The body must not be compressed, but Content-Encoding says that it is")
            body = self.parse_json(await request.get_body())
        if isinstance(body, list):
            raise HTTPException(400, NO_BATCHES)
        if is_persisted(body):
            raise NotPersisted
        if not isinstance(body, dict) or not isinstance(body.get("query"), str) or not body["query"]:
            raise HTTPException(400, NOT_IN_URL if request.method == "GET" else NOT_A_REQUEST)
        if not isinstance(body.get("operationName"), str | None):
            raise HTTPException(400, "operationName must be a string or null")
        for member in ("variables", "extensions"):
            if not isinstance(body.get(member), dict | None):
                raise HTTPException(400, f"{member} must be an object or null")
        # without extensions: the base class would look there for ways to stream an answer, and we have none
        return GraphQLRequestData(body["query"], body.get("variables"), body.get("operationName"), extensions=None)

    def _from_url(self, parameters: Mapping[str, str | None]) -> dict[str, object]:
        """The request in a URL, where objects are JSON and empty parameters do not count."""
        request: dict[str, object] = {name: value for name, value in parameters.items() if value}
        for member in ("variables", "extensions"):
            if member in request:
                request[member] = self.parse_json(str(request[member]))
        return request

    async def execute_single(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: Context,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Answer a query or mutation."""
        try:
            return await self.schema.execute(
                request_data.query,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types=OperationType.from_http(request_adapter.method) - {OperationType.SUBSCRIPTION},
            )
        except CannotGetOperationTypeError as error:
            raise HTTPException(400, error.as_http_error_reason()) from error
        except InvalidOperationTypeError as error:
            if error.operation_type == OperationType.MUTATION:
                raise HTTPException(405, "Mutations take POST") from error
            raise NotOverHttp from None

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """The answer's body, without `data` if the request was not executed."""
        body, request.state.is_request_error = body_of(result)
        return cast("GraphQLHTTPResponse", await encode_answer(body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        if self._fast_path is not None:
            rest = await self._fast_path.serve(scope, receive, send)
            if rest is None:
                return
            receive = rest
        # no limit here, since `_with_limit` sets it: Starlette's own would answer in plain text
        await RequestBodyLimitMiddleware(self._serve, sys.maxsize)(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, _with_limit(receive))
        if self._html is not None and wants_html(request):
            await self._html()(scope, receive, send)
            return
        try:
            response = await self._answer(request)
            response.headers["vary"] = "Accept, Accept-Encoding"
            response.headers["cache-control"] = "no-store"
            response.headers["x-content-type-options"] = "nosniff"
            await response(scope, receive, send)
        finally:
            if (context := getattr(request.state, "context", None)) is not None:
                context.leave()

    async def _answer(self, request: Request) -> Response:
        media_type = negotiate(request.headers.get("accept"))
        takes_stream = event_stream.is_requested(request.headers.get("accept"))
        if len(request.scope["query_string"]) > MOST_URL:
            return _refusal(414, f"The URL has over {MOST_URL} bytes; put the query in the body", media_type)
        if request.method not in ("GET", "POST"):
            return _refusal(405, "GraphQL takes GET and POST", media_type, {"allow": "GET, POST"})
        if media_type is None and not takes_stream:
            return _refusal(406, f"Answers are {JSON}, {RESPONSE} or {event_stream.MEDIA_TYPE}", JSON)
        try:
            if media_type is None:
                return await self._stream(request)
            try:
                response = await self.run(request)
            except NotOverHttp:
                if not takes_stream:
                    raise
                return await self._stream(request)
        except HTTPException as error:
            headers = {"allow": "POST"} if error.status_code == 405 else None
            return _refusal(error.status_code, error.reason, media_type, headers)
        except ClientDisconnect:
            return _refusal(400, "The client disconnected before the request was complete", media_type)
        except NotOverHttp as error:
            return _failure(400, to_client(error), media_type)
        except NotPersisted as error:  # not a failure: the client retries with the query
            if media_type is None:
                return event_stream.of_one({"errors": [to_client(error)]}, self.encode_json)
            return _failure(200, to_client(error), media_type)
        except BadInput as error:
            return _failure(status(media_type or RESPONSE, is_request_error=True), to_client(error), media_type)
        except Exception as error:
            return _failure(500, to_client(error), media_type)
        response.headers["content-type"] = f"{media_type}; charset=utf-8"
        is_request_error = getattr(request.state, "is_request_error", False)
        response.status_code = status(media_type, is_request_error=is_request_error)
        return response

    async def _stream(self, request: Request) -> Response:
        return self._streaming.stream(request, await self.parse_http_body(self.request_adapter_class(request)))


def _bytes(data: str | bytes) -> bytes:
    # half of a character in a URL becomes invalid UTF-8, and so invalid JSON
    return data if isinstance(data, bytes) else data.encode(errors="surrogatepass")


def _with_limit(receive: Receive) -> Receive:
    """`receive`, wrapped to raise HTTPException 413 for a body that is too large."""
    size = 0

    async def count() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BODY:
            raise HTTPException(413, f"The body has over {MOST_BODY} bytes")
        return message

    return count


def _refusal(status: int, message: str, media_type: str | None, headers: Mapping[str, str] | None = None) -> Response:
    return _failure(status, to_client(BadInput(message)), media_type, headers)


def _failure(
    status: int, error: Mapping[str, object], media_type: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(
        orjson.dumps({"errors": [error]}), status, headers, media_type=f"{media_type or JSON}; charset=utf-8"
    )
