"""Answers to requests for which there is no route, in the form that all errors have."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from eventscope.errors import BadInput, to_client
from eventscope.http.graphiql import wants_html

JSON: Final = "application/json"
AGAIN: Final[Mapping[str, str]] = {"retry-after": "1"}
"""Header of an answer that may be different a second later."""
QUOTED: Final = 80  # characters of an address in an error
ROUTES: Final = "there are /graphql, /events/…, /healthz, /readyz and /metrics"
SIDE_SERVER_ROUTES: Final = "there are /healthz, /readyz and /metrics"


def error_response(status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A response with that error, which no cache stores."""
    safe = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    body = orjson.dumps({"errors": [error]})
    return Response(body, status, {**safe, **(headers or {})}, media_type=f"{JSON}; charset=utf-8")


async def answer(request: Request, error: Exception) -> Response:
    """The API's answer to a request for which it has no route or method."""
    return _answer(request, error, ROUTES)


async def side_server_answer(request: Request, error: Exception) -> Response:
    """The side server's answer to a request for which it has no route or method."""
    return _answer(request, error, SIDE_SERVER_ROUTES)


def _answer(request: Request, error: Exception, routes: str) -> Response:
    """The answer if there is no such path, or it does not take the method; browsers get only the sentence."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        message = f"there is no {request.url.path[:QUOTED]!r}; {routes}"
    elif error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
        message = f"{request.url.path[:QUOTED]!r} takes {allowed}"
    else:
        message = error.detail
    if wants_html(request):
        return PlainTextResponse(message, error.status_code, error.headers)
    return error_response(error.status_code, to_client(BadInput(message)), error.headers)


class _NoWebSocket:
    """Refuses a WebSocket."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"there is no WebSocket at {scope['path'][:QUOTED]!r}; there is one at /graphql"
        await error_response(404, to_client(BadInput(message)))(scope, receive, send)


def no_websocket() -> WebSocketRoute:
    """The route for all other WebSockets; it must come after the existing ones."""
    return WebSocketRoute("/{rest:path}", _NoWebSocket())
