"""What is answered where nothing else answers: errors in the one form that all have, over HTTP and to WebSockets."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from eventscope.errors import BadInput, to_client
from eventscope.http.graphiql import wants_page

JSON: Final = "application/json"
AGAIN: Final[Mapping[str, str]] = {"retry-after": "1"}
"""What an answer says that may be another one a second later."""
SHOWN: Final = 80  # letters of an address in an error
PLACES: Final = "there are /graphql, /events/…, /healthz, /readyz and /metrics"
OTHER_PLACES: Final = "there are /healthz, /readyz and /metrics"


def error_response(status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """An answer with that error, which nobody keeps."""
    safe = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    body = orjson.dumps({"errors": [error]})
    return Response(body, status, {**safe, **(headers or {})}, media_type=f"{JSON}; charset=utf-8")


async def answer(request: Request, error: Exception) -> Response:
    """The answer to a request that the API has nothing for."""
    return _answer(request, error, PLACES)


async def side_server_answer(request: Request, error: Exception) -> Response:
    """The answer to a request that what is served beside other work has nothing for."""
    return _answer(request, error, OTHER_PLACES)


def _answer(request: Request, error: Exception, places: str) -> Response:
    """That nothing is there, or not by that method; browsers are shown the bare sentence."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        said = f"there is no {request.url.path[:SHOWN]!r}; {places}"
    elif error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "GET").split(", ")))
        said = f"{request.url.path[:SHOWN]!r} is asked by {allowed}"
    else:
        said = error.detail
    if wants_page(request):
        return PlainTextResponse(said, error.status_code, error.headers)
    return error_response(error.status_code, to_client(BadInput(said)), error.headers)


class _NoWebSocket:
    """What is served where there are no WebSockets."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        said = f"there is no WebSocket at {scope['path'][:SHOWN]!r}; there is one at /graphql"
        await error_response(404, to_client(BadInput(said)))(scope, receive, send)


def no_websocket() -> WebSocketRoute:
    """Whatever WebSocket is asked for elsewhere; it comes after all that are there."""
    return WebSocketRoute("/{rest:path}", _NoWebSocket())
