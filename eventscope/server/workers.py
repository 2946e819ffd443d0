"""Several API processes behind one address, one for each core, and one that keeps them running.

Each worker has a listening socket of its own on the one port, so the system spreads connections over them evenly. The
keeper opened these sockets and never lets go of them: what connects while a worker is started again waits for it.
"""

import asyncio
import logging
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eventscope import app
from eventscope.background import cancel
from eventscope.connections import demand
from eventscope.metrics import log
from eventscope.metrics.workers import Siblings
from eventscope.processes.ending import before, signals
from eventscope.processes.supervisor import Child, Supervisor
from eventscope.server.listen import listening
from eventscope.server.vigil import Vigil
from eventscope.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is told: its number, the socket it inherits, and the folder where the workers find each other."""

    number: int
    descriptor: int
    folder: Path

    def __str__(self) -> str:
        return f"{self.number}:{self.descriptor}:{self.folder}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """The inverse of `str`."""
        number, descriptor, folder = text.split(":", 2)
        return cls(int(number), int(descriptor), Path(folder))

    def listener(self) -> socket.socket:
        """The socket, which the keeper has opened."""
        return socket.socket(fileno=self.descriptor)


async def keep(settings: Settings, workers: int, *, ingest: bool) -> None:
    """Keep so many workers running until a signal ends it, and an ingester if wanted.

    CannotStart when the port is taken or a server is not set or not there.
    """
    demand(settings, "mongo_url", "nats_url")
    with ExitStack() as stack:
        asked = stack.enter_context(signals())
        sockets = [stack.enter_context(one) for one in _sockets(settings, workers)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eventscope-")))
        await before(asked, _look(settings))
        supervisor = Supervisor(logger.warning, held=[one.fileno() for one in sockets])
        places = [Place(number, one.fileno(), folder) for number, one in enumerate(sockets, start=1)]
        try:
            if not asked:
                for place in places:
                    await supervisor.start(_worker(place))
                if ingest:
                    await supervisor.start(Child("ingest", [sys.executable, "-m", "eventscope", "ingest"]))
                supervisor.keep()
            async with _watched(supervisor, places, settings.worker_seconds):
                await asked.wait()
        finally:
            await supervisor.stop()


@asynccontextmanager
async def _watched(supervisor: Supervisor, places: Sequence[Place], seconds: float) -> AsyncIterator[None]:
    """Replace workers that do not answer for so long, for the length of the block; none if that is 0."""
    if not seconds:
        yield
        return
    vigil = Vigil(supervisor, {_name(one): one.folder / str(one.number) for one in places}, seconds)
    async with Siblings(places[0].folder, "keeper").telling(log.route(vigil.registry, _nothing)):
        keeping = asyncio.create_task(vigil.keep())
        try:
            yield
        finally:
            await cancel(keeping)


async def _nothing() -> None:
    """There is nothing to look at."""


async def _look(settings: Settings) -> None:
    """Say what is wrong with the servers: here, once, and not by every worker."""
    async with app.services(settings):
        pass


def _worker(place: Place) -> Child:
    command = [sys.executable, "-m", "eventscope", "serve", "--no-ingest", "--worker", str(place)]
    return Child(_name(place), command)


def _name(place: Place) -> str:
    return f"worker {place.number}"


def _sockets(settings: Settings, workers: int) -> Sequence[socket.socket]:
    """One for each worker, all on one port; the same for all where the system would not spread connections."""
    if sys.platform != "linux":
        return [listening(settings.host, settings.port)] * workers
    first = listening(settings.host, settings.port, shared=True)
    port = first.getsockname()[1]
    return [first, *(listening(settings.host, port, shared=True) for _ in range(workers - 1))]
