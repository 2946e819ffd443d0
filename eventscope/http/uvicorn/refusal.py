"""What is answered on connections that are over the bound: health checks as always, and a refusal of all else."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from eventscope.errors import Unavailable
from eventscope.http.uvicorn.bounds import Bounds

HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def body(error: Mapping[str, Any]) -> bytes:
    """The body of an answer with that error alone."""
    return orjson.dumps({"errors": [error]})


# not made by `to_client`, which would log each refusal: `Bounds` logs once that the limit is reached
FULL: Final = body(
    {"message": "Too many connections are open; try again later", "extensions": {"code": Unavailable.code}}
)


class Full:
    """The application for connections over the bound: it answers health checks, and refuses everything else."""

    def __init__(self, app: Any, bounds: Bounds) -> None:
        self._app: ASGIApp = app
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        self._bounds.on_drop("full")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(FULL)),
            (b"connection", b"close"),
            (b"retry-after", b"1"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": FULL})
