"""Several API processes at one address, such as one for each core, and a keeper that keeps them running.

Each worker has its own listening socket on the one port, so that the system spreads connections evenly. The keeper
opened these sockets and holds them open: a client that connects while its worker restarts waits in the queue.
"""

import logging
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eventscope import app
from eventscope.background import beside
from eventscope.connections import require
from eventscope.http.uvicorn.listen import listen
from eventscope.metrics import log
from eventscope.metrics.workers import SiblingMetrics
from eventscope.processes.ending import run_until, stop_request
from eventscope.processes.supervisor import Child, Supervisor
from eventscope.server.watchdog import Watchdog
from eventscope.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSlot:
    """What a worker needs: its number, the socket it inherits, and the folder where workers find each other's metrics.

    On the command line of the worker it is `str(slot)`.
    """

    number: int
    descriptor: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.number}:{self.descriptor}:{self.folder}"

    @classmethod
    def parse(cls, text: str) -> "WorkerSlot":
        """The inverse of `str`."""
        number, descriptor, folder = text.split(":", 2)
        return cls(int(number), int(descriptor), Path(folder))

    def listener(self) -> socket.socket:
        """The socket that the keeper opened."""
        return socket.socket(fileno=self.descriptor)


async def keep(settings: Settings, workers: int, *, ingest: bool) -> None:
    """Keep this many workers running until a signal arrives, and with `ingest` an ingester too.

    Raises CannotStart if the port is in use, or if a server is not configured or cannot be reached.
    """
    require(settings, "mongo_url", "nats_url")
    with ExitStack() as stack:
        stop = stack.enter_context(stop_request())
        sockets = [stack.enter_context(one) for one in _sockets(settings, workers)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eventscope-")))
        await run_until(stop, _try_services(settings))
        supervisor = Supervisor(logger.warning, descriptors=[one.fileno() for one in sockets])
        slots = [WorkerSlot(number, one.fileno(), folder) for number, one in enumerate(sockets, start=1)]
        try:
            if not stop:
                for slot in slots:
                    await supervisor.start(_worker(slot))
                if ingest:
                    await supervisor.start(Child("ingest", [sys.executable, "-m", "eventscope", "ingest"]))
                supervisor.keep()
            async with _watchdog(supervisor, slots, settings.worker_seconds):
                await stop.wait()
        finally:
            await supervisor.stop()


@asynccontextmanager
async def _watchdog(supervisor: Supervisor, slots: Sequence[WorkerSlot], seconds: float) -> AsyncIterator[None]:
    """For the length of the block, replace workers that do not answer for this long; 0 disables it."""
    if not seconds:
        yield
        return
    watchdog = Watchdog(supervisor, {_name(slot): slot.folder / str(slot.number) for slot in slots}, seconds)
    async with (
        SiblingMetrics(slots[0].folder, "keeper").publish(log.route(watchdog.registry, _nothing)),
        beside(watchdog.run()),
    ):
        yield


async def _nothing() -> None:
    """The keeper has no log to look at."""


async def _try_services(settings: Settings) -> None:
    """Raise what is wrong with the servers once, here, and not in every worker."""
    async with app.services(settings):
        pass


def _worker(slot: WorkerSlot) -> Child:
    command = [sys.executable, "-m", "eventscope", "serve", "--no-ingest", "--worker", str(slot)]
    return Child(_name(slot), command)


def _name(slot: WorkerSlot) -> str:
    return f"worker {slot.number}"


def _sockets(settings: Settings, workers: int) -> Sequence[socket.socket]:
    """One socket for each worker, all on one port; one for all where the system would not spread connections."""
    if sys.platform != "linux":
        return [listen(settings.host, settings.port)] * workers
    first = listen(settings.host, settings.port, shared=True)
    port = first.getsockname()[1]
    return [first, *(listen(settings.host, port, shared=True) for _ in range(workers - 1))]
