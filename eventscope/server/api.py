"""Running the API in this process, uvicorn inside: alone, or as one of several workers."""

import asyncio
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Any, Final, cast

import uvicorn

from eventscope import app
from eventscope.connections import demand
from eventscope.http import health
from eventscope.http.uvicorn.bounds import Bounds, bounds
from eventscope.http.uvicorn.http_protocol import Connection
from eventscope.http.uvicorn.websocket_protocol import Transport
from eventscope.metrics.api import ApiMetrics
from eventscope.metrics.workers import Siblings
from eventscope.processes.ending import Asked, before, signals
from eventscope.processes.supervisor import Child, Supervisor
from eventscope.server import garbage
from eventscope.server.listen import listening
from eventscope.server.workers import Place
from eventscope.settings import Settings

MOST_FRAME: Final = 262_144  # bytes of a WebSocket message
STOP_SECONDS: Final = 5

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to us: it would end the process with them before all is put in order."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what would be streamed for ever is told first, for uvicorn would wait for it."""
        self._ending.set()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(settings: Settings, *, ingest: bool) -> None:
    """Serve until a signal ends it, with an ingester in a process of its own if wanted.

    CannotStart when the port is taken or a server is not set or not there.
    """
    demand(settings, "mongo_url", "nats_url")
    with signals() as asked:
        await before(asked, _serve_beside(settings, asked, ingest=ingest))


async def work(settings: Settings, place: Place) -> None:
    """Serve as one of several workers, until a signal ends it."""
    with signals() as asked, place.listener() as listener:
        await before(asked, _serve(settings, listener, asked, Siblings(place.folder, str(place.number))))


async def _serve_beside(settings: Settings, asked: Asked, *, ingest: bool) -> None:
    supervisor = Supervisor(logger.warning)
    try:
        if ingest:
            await supervisor.start(Child("ingest", [sys.executable, "-m", "eventscope", "ingest"]))
            supervisor.keep()
        with listening(settings.host, settings.port) as listener:
            await _serve(settings, listener, asked)
    finally:
        await supervisor.stop()


async def _serve(settings: Settings, listener: socket.socket, asked: Asked, siblings: Siblings | None = None) -> None:
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(app.services(settings))
        metrics = ApiMetrics()
        if siblings is not None:
            await stack.enter_async_context(siblings.telling(metrics.route(services), health.alive()))
        served = config(app.build(settings, services, metrics, siblings), bounds(settings, metrics.given_up))
        server = Server(served, services.ending)
        asked.instead = lambda number: server.handle_exit(number, None)
        garbage.settle()
        await server.serve(sockets=[listener])


def config(application: object, within: Bounds | None = None) -> uvicorn.Config:
    """How uvicorn runs the application, within these bounds or the usual ones."""
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # uvicorn's own name for an application is not exported
        loop="none",  # the caller's loop runs already
        http=cast("Any", partial(Connection, within or Bounds())),  # all that is done with it is to call it
        ws=Transport,
        ws_max_size=MOST_FRAME,
        ws_per_message_deflate=False,  # costs three times the CPU of sending plainly
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # it believes every peer on this machine; edge/proxies.py believes those that are named
        timeout_graceful_shutdown=STOP_SECONDS,
    )
