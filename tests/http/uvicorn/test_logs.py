"""What uvicorn logs: addresses without their query strings, which may contain secrets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from eventscope.server.api import config
from tests.support.until import until

PARTS = ("token=s3cr3t", "a?token=s3cr3t", "?s3cr3t")


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts a socket at /open; refuses others in two ways; answers requests."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    match scope["path"]:
        case "/open":
            await send({"type": "websocket.accept"})
            await receive()
        case "/answered":
            await send({"type": "websocket.http.response.start", "status": 404, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
        case _:
            await send({"type": "websocket.close", "code": 4403})


@asynccontextmanager
async def running(*, access_log: bool = False) -> AsyncIterator[str]:
    """Serves the application as in production, or with a log of requests; gives its host and port."""
    chosen = config(application)
    chosen.access_log = logging.getLogger("uvicorn.access").propagate = access_log
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(chosen)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await serving
    logging.getLogger("uvicorn.access").propagate = False  # as uvicorn leaves it


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    # also what libraries log for debugging
    caplog.set_level(logging.DEBUG, "uvicorn.error")
    caplog.set_level(logging.INFO, "uvicorn.access")
    return caplog


@pytest.mark.parametrize("query", PARTS)
async def test_the_query_of_a_websocket_is_not_logged(query: str, logged: pytest.LogCaptureFixture) -> None:
    async with running() as at:
        async with connect(f"ws://{at}/open?{query}"):
            pass
        for path in ("/answered", "/refused"):
            with pytest.raises(InvalidStatus):
                await connect(f"ws://{at}{path}?{query}")
    ours = [record.getMessage() for record in logged.records if record.name.startswith("uvicorn")]
    for said in ('/open?***" [accepted]', '/answered?***" 404', '/refused?***" 403'):
        assert any(said in message for message in ours)
    assert "s3cr3t" not in "".join(ours)


async def test_the_query_of_a_request_is_not_logged(logged: pytest.LogCaptureFixture) -> None:
    async with running(access_log=True) as at, httpx.AsyncClient() as client:
        await client.get(f"http://{at}/events?token=s3cr3t")
        await client.get(f"http://{at}/events")
    ours = [record.getMessage() for record in logged.records if record.name.startswith("uvicorn")]
    assert any('"GET /events?*** HTTP/1.1" 200' in message for message in ours)
    assert any('"GET /events HTTP/1.1" 200' in message for message in ours)
    assert "s3cr3t" not in "".join(ours)
