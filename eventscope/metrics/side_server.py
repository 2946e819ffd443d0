"""A small HTTP server for health and metrics, in a process whose main work is something else."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from eventscope.http import refusals
from eventscope.http.uvicorn.listen import listen
from eventscope.http.uvicorn.server import SignalFreeServer
from eventscope.settings import variable

REMEDY: Final = f"set {variable('ingest_port')} to another port, or to 0 for none"

logger = logging.getLogger(__name__)
_is_side_server: ContextVar[bool] = ContextVar("_is_side_server", default=False)


@asynccontextmanager
async def serve_beside(host: str, port: int, routes: Sequence[Route]) -> AsyncIterator[None]:
    """Serve these routes for the length of the block; CannotStart if the port cannot be used."""
    with listen(host, port, remedy=REMEDY) as listener:
        async with serve_on(listener, routes):
            logger.info("health and metrics are at http://%s:%d", host, port)
            yield


@asynccontextmanager
async def serve_on(listener: socket.socket, routes: Sequence[Route]) -> AsyncIterator[None]:
    """Serve these routes on the socket for the length of the block."""
    server = SignalFreeServer(
        uvicorn.Config(
            Starlette(routes=routes, exception_handlers={HTTPException: refusals.side_server_answer}),
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
    logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)
    serving = asyncio.create_task(_serve(server, listener))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def _serve(server: SignalFreeServer, listener: socket.socket) -> None:
    _is_side_server.set(True)  # in this task and those that it starts
    await server.serve(sockets=[listener])


def _is_worth_logging(record: logging.LogRecord) -> bool:
    # uvicorn reports a start and an end of the process for each server in it
    return record.levelno > logging.INFO or not _is_side_server.get()
