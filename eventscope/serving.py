"""Running the API: one process, one socket, uvicorn inside."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn

from eventscope import app
from eventscope.errors import CannotStart
from eventscope.settings import Settings, variable
from eventscope.supervisor import Child, Supervisor

BACKLOG: Final = 2048
MOST_FRAME: Final = 262_144  # bytes of a WebSocket message
STOP_SECONDS: Final = 5
STUCK_MILLISECONDS: Final = 15_000

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us: it would end the process with them before all is put in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(settings: Settings, *, ingest: bool) -> None:
    """Serve until a signal ends it, with an ingester in a process of its own if wanted.

    CannotStart when the port is taken or a server is not there.
    """
    supervisor = Supervisor(logger.warning)
    try:
        if ingest:
            await supervisor.start(Child("ingest", [sys.executable, "-m", "eventscope", "ingest"]))
            supervisor.keep()
        await _serve(settings)
    finally:
        await supervisor.stop()


async def _serve(settings: Settings) -> None:
    with listening(settings.host, settings.port) as listener:
        async with app.services(settings) as services:
            server = Server(config(app.build(settings, services)))
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
            # what exists now lives for ever; the collector need not look at it again
            gc.freeze()
            await server.serve(sockets=[listener])


def config(application: object) -> uvicorn.Config:
    """How uvicorn runs the application."""
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # uvicorn's own name for an application is not exported
        loop="none",  # the caller's loop runs already
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=MOST_FRAME,
        ws_per_message_deflate=False,  # costs three times the CPU of sending plainly
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there; CannotStart when it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotStart(
            f"{host}:{port} cannot be listened on ({error.strerror}); set {variable('port')} to another"
            f" port, or {variable('host')} to an address of this machine"
        ) from None
    # asyncio sets it only on sockets that say which protocol they are for, and this one's do not: 46 ms a request
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # a peer that stops reading is dropped, where uvicorn would wait for it for ever
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener
