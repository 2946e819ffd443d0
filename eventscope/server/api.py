"""Running the API in this process, on uvicorn: alone, or as one of several workers."""

import asyncio
import logging
import socket
import sys
import warnings
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, cast

import uvicorn

from eventscope import app
from eventscope.connections import require
from eventscope.http import health
from eventscope.http.uvicorn import http_protocol, logs, server, websocket_protocol, whole_response
from eventscope.http.uvicorn.bounds import Bounds, bounds
from eventscope.http.uvicorn.http_protocol import HttpProtocol
from eventscope.http.uvicorn.listen import listen
from eventscope.http.uvicorn.server import SignalFreeServer
from eventscope.http.uvicorn.websocket_protocol import WebSocketProtocol
from eventscope.metrics.api import ApiMetrics
from eventscope.metrics.workers import SiblingMetrics
from eventscope.processes.ending import StopRequest, run_until, stop_request
from eventscope.processes.supervisor import Child, Supervisor
from eventscope.server import garbage
from eventscope.server.workers import WorkerSlot
from eventscope.settings import Settings

MOST_FRAME: Final = 262_144  # bytes of a WebSocket message
STOP_SECONDS: Final = 5

logger = logging.getLogger(__name__)


class ApiServer(SignalFreeServer):
    """Sets the event `ending` when it shuts down."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; event streams end first, since uvicorn would wait for them."""
        self._ending.set()
        await super().shutdown(sockets)


async def serve(settings: Settings, *, ingest: bool) -> None:
    """Serve until a signal arrives; with `ingest`, keep an ingester running in a process of its own.

    Raises CannotStart if the port is in use, or if a server is not configured or cannot be reached.
    """
    require(settings, "mongo_url", "nats_url")
    with stop_request() as stop:
        await run_until(stop, _serve_beside(settings, stop, ingest=ingest))


async def work(settings: Settings, slot: WorkerSlot) -> None:
    """Serve as one of several workers, until a signal arrives."""
    with stop_request() as stop, slot.listener() as listener:
        await run_until(stop, _serve(settings, listener, stop, SiblingMetrics(slot.folder, str(slot.number))))


async def _serve_beside(settings: Settings, stop: StopRequest, *, ingest: bool) -> None:
    supervisor = Supervisor(logger.warning)
    try:
        if ingest:
            await supervisor.start(Child("ingest", [sys.executable, "-m", "eventscope", "ingest"]))
            supervisor.keep()
        with listen(settings.host, settings.port) as listener:
            await _serve(settings, listener, stop)
    finally:
        await supervisor.stop()


async def _serve(
    settings: Settings, listener: socket.socket, stop: StopRequest, siblings: SiblingMetrics | None = None
) -> None:
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(app.services(settings))
        metrics = ApiMetrics()
        if siblings is not None:
            await stack.enter_async_context(siblings.publish(metrics.route(services), health.alive()))
        api = app.build(settings, services, metrics, siblings)
        server = ApiServer(config(api, bounds(settings, metrics.on_http_drop)), services.ending)
        # a signal does not cancel the server: uvicorn lets requests finish and closes WebSockets with a code
        stop.handler = lambda number: server.handle_exit(number, None)
        garbage.settle()
        ignore_unstarted_resolvers()
        await server.serve(sockets=[listener])


def ignore_unstarted_resolvers() -> None:
    """Keep Python from warning of resolvers that never started because their operation was cancelled.

    graphql-core calls the resolvers of an object's fields, which creates their coroutines, and then awaits them in one
    task each. If a client leaves before such a task has run for the first time, the task ends without having awaited
    its resolver. A coroutine that has not started holds nothing, so only the warning is lost.
    """
    message = r"coroutine '.*\._async_resolver' was never awaited"
    warnings.filterwarnings("ignore", message, category=RuntimeWarning)


def config(application: object, within: Bounds | None = None) -> uvicorn.Config:
    """How uvicorn runs the application, within these bounds or the default ones."""
    for needed in (server.INTERNALS, http_protocol.INTERNALS, websocket_protocol.INTERNALS):
        needed.demand()
    whole_response.install()
    logs.hide_queries()
    return uvicorn.Config(
        application,  # type: ignore[arg-type]  # uvicorn's own name for an application is not exported
        loop="none",  # the caller's loop runs already
        http=cast("Any", partial(HttpProtocol, within or Bounds())),  # uvicorn only calls it
        ws=WebSocketProtocol,
        ws_max_size=MOST_FRAME,
        ws_per_message_deflate=False,  # takes three times the CPU
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # uvicorn trusts every peer on this machine; edge/proxies.py only those in the settings
        timeout_graceful_shutdown=STOP_SECONDS,
    )
