"""A small HTTP server beside work that has none of its own: for those who watch over the process."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from eventscope.errors import CannotStart
from eventscope.http import refusals
from eventscope.settings import variable


@asynccontextmanager
async def watched(host: str, port: int, routes: Sequence[Route]) -> AsyncIterator[None]:
    """Serve these for the length of the block; CannotStart when the port cannot be had."""
    with _listening(host, port) as listener:
        async with answering(listener, routes):
            yield


@asynccontextmanager
async def answering(listener: socket.socket, routes: Sequence[Route]) -> AsyncIterator[None]:
    """Serve these on the socket for the length of the block."""
    server = _Server(
        uvicorn.Config(
            Starlette(routes=routes, exception_handlers={HTTPException: refusals.answered_beside}),
            loop="none",  # the caller's loop runs already
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they are for the work


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise CannotStart(
            f"{host}:{port} cannot be listened on ({error.strerror}); set {variable('ingest_port')} to another"
            " port, or to 0 for none"
        ) from None
