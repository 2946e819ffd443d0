"""The stage of a chaos run: MongoDB, NATS, an ingester and its standby, each a process of its own, and the services."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.dev.servers import Mongod, Nats
from eventscope.errors import EventscopeError
from eventscope.processes.ports import HOST, free
from eventscope.settings import Settings, variable
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.state import checkpoint
from eventscope.subscriptions.ingest.resume import start_of
from eventscope.subscriptions.nats import stream
from tests.chaos import wrong_clock
from tests.chaos.ledger import Ledger
from tests.chaos.messages import CONFIRMED_KINDS, Author
from tests.chaos.program import Program, ServerProgram
from tests.chaos.service import Pace, Service, confirmed_service
from tests.support.network_proxy import Proxy, running_proxy
from tests.support.until import until

LEASE_SECONDS: Final = 1.5
LIVE_BYTES: Final = 64 * 1024  # that may wait for one subscriber: few, so that stalls have an effect
RECOVERY_SECONDS: Final = 90.0  # at most; the table has the measured times
SETTLE_SECONDS: Final = 300.0
SERVICES: Final = 4
CONFIRMED_SERVICES: Final = 2
# the settings that an ingester gets, besides its subjects
INGESTER_FIELDS: Final = (
    *("mongo_url", "nats_url", "ingest_port", "lease_seconds", "batch"),
    *("stream_keep_hours", "stream_max_bytes", "log_level"),
)
# and those of an API
API_FIELDS: Final = ("mongo_url", "nats_url", "port", "live_client_bytes", "log_level")


def settings_of(mongo_url: str, nats_url: str) -> Settings:
    """The settings of a run."""
    return Settings(
        mongo_url=mongo_url,
        nats_url=nats_url,
        subjects=("chaos.>",),
        lease_seconds=LEASE_SECONDS,
        stream_keep_hours=0.0,
        live_client_bytes=LIVE_BYTES,
    )


def ingester(name: str, folder: Path, settings: Settings) -> Program:
    """An ingester as a process of its own, on a machine whose clock a fault may set."""
    clock = [wrong_clock.__file__, str(clock_file(folder))]  # by its path: tests work in another folder
    return _eventscope(name, folder, settings, INGESTER_FIELDS, *clock, "ingest")


def clock_file(folder: Path) -> Path:
    """The file with the days by which the ingesters' clocks are wrong; without it they are right."""
    return folder / "clock"


def api(name: str, folder: Path, settings: Settings) -> Program:
    """An API as a process of its own."""
    return _eventscope(name, folder, settings, API_FIELDS, "-m", "eventscope", "serve", "--no-ingest")


def _eventscope(name: str, folder: Path, settings: Settings, fields: Sequence[str], *arguments: str) -> Program:
    environment = {variable(field): str(getattr(settings, field)) for field in fields}
    environment[variable("subjects")] = ",".join(settings.subjects)
    command = [sys.executable, *arguments]
    return Program(name, lambda: command, folder / f"{name}.log", environment)


@dataclass(slots=True)
class Load:
    """Services that publish until `stop` is set."""

    ledger: Ledger
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    going: asyncio.Event = field(default_factory=asyncio.Event)
    services: list[Service] = field(default_factory=list)
    work: list[asyncio.Task[None]] = field(default_factory=list)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Pause publishing for the length of the block."""
        self.going.clear()
        try:
            yield
        finally:
            self.going.set()

    async def end(self) -> None:
        """Let each service finish its last message."""
        self.stop.set()
        await asyncio.wait_for(asyncio.gather(*self.work), SETTLE_SECONDS)


@asynccontextmanager
async def publishing(settings: Settings, seed: int, rate: float) -> AsyncIterator[Load]:
    """Services that publish `rate` messages per second in total, for the length of the block at most."""
    load = Load(Ledger())
    load.going.set()
    versions: dict[str, int] = {}
    each = rate / (SERVICES + CONFIRMED_SERVICES)
    prefix = settings.subjects[0].removesuffix(".>")
    async with AsyncExitStack() as stack:
        for number in range(SERVICES + CONFIRMED_SERVICES):
            confirmed, pace = number >= SERVICES, Pace(each, load.going)
            chance = random.Random(f"{seed}/{number}")
            author = Author(f"{'confirmed' if confirmed else 'service'}{number}", prefix, chance, load.ledger, versions)
            if confirmed:
                author.kinds = CONFIRMED_KINDS
                waiting = await stack.enter_async_context(confirmed_service(settings.nats_url, settings.stream, author))
                work = waiting.run(pace, load.stop)
            else:
                service = Service(settings.nats_url, settings.stream, author, load.ledger)
                load.services.append(service)
                work = service.run(pace, load.stop)
            load.work.append(asyncio.create_task(work, name=author.name))
        try:
            yield load
        finally:
            await cancel(*load.work)


@dataclass(frozen=True, slots=True)
class Lines:
    """The proxies through which an ingester (at port `watch`) and an API (at `port`) reach MongoDB and NATS."""

    mongo: Proxy
    nats: Proxy
    watch: int
    port: int


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that a fault can strike, and the log that must stay whole.

    Each ingester shares `lines` with the API of its number; the services and `log` connect directly.
    """

    folder: Path
    settings: Settings
    mongod: ServerProgram
    nats: ServerProgram
    ingesters: Sequence[Program]
    apis: Sequence[Program]
    lines: Sequence[Lines]
    log: Log
    load: Load

    @property
    def addresses(self) -> list[str]:
        """The addresses of the APIs."""
        return [f"{HOST}:{line.port}" for line in self.lines]

    async def head(self) -> int | None:
        """The last position of the log; None while MongoDB does not answer."""
        return await head(self.log)

    async def settled(self) -> None:
        """Wait until the log has all of the stream."""
        await settled(self.settings, self.log)


async def head(log: Log) -> int | None:
    """The last position of the log; None while MongoDB does not answer."""
    try:
        return await checkpoint.head(log)
    except EventscopeError:
        return None


async def settled(settings: Settings, log: Log) -> None:
    """Wait until the log has all of the stream."""
    client = await stream.connect(settings.nats_url, "chaos", seconds=RECOVERY_SECONDS)
    try:
        await until(lambda: has_caught_up(settings, log, client), SETTLE_SECONDS)
    finally:
        await stream.close(client)


async def has_caught_up(settings: Settings, log: Log, client: Client) -> bool:
    """Whether the log has all of the stream, and the stream is the one that the log was read from."""
    with suppress(EventscopeError, nats.errors.Error, OSError):
        position = (await checkpoint.read(log)).stream_position
        info = await client.jetstream().stream_info(settings.stream)
        origin = await start_of(client, settings.stream, position)
        return origin.reset is None and info.state.last_seq <= (0 if position is None else position.sequence)
    return False


@asynccontextmanager
async def staged(folder: Path, seed: int, rate: float, *, serving: bool = False) -> AsyncIterator[Stage]:
    """The stage under load, for the length of the block; with APIs if `serving`."""
    async with AsyncExitStack() as stack:
        mongod = ServerProgram(Mongod(folder / "mongod", free()))
        nats_server = ServerProgram(Nats(folder / "nats", free()))
        for server in (mongod, nats_server):
            stack.push_async_callback(server.close)
            await server.start()
        settings = settings_of(mongod.server.url, nats_server.server.url)
        log = await stack.enter_async_context(open_log(settings.mongo_url, settings.mongo_database))
        await prepare(log)
        client = await stream.connect(settings.nats_url, "chaos")
        await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
        await stream.close(client)
        ingesters, apis, lines = list[Program](), list[Program](), list[Lines]()
        for number in (1, 2):
            mongo, to_nats = [
                await stack.enter_async_context(running_proxy(one.server.port)) for one in (mongod, nats_server)
            ]
            line = Lines(mongo, to_nats, free(), free())
            ingesters.append(ingester(f"ingester{number}", folder, through(line, settings)))
            if serving:
                apis.append(api(f"api{number}", folder, through(line, settings)))
            lines.append(line)
        for program in (*ingesters, *apis):
            stack.push_async_callback(program.close)
            await program.keep()
        load = await stack.enter_async_context(publishing(settings, seed, rate))
        yield Stage(folder, settings, mongod, nats_server, ingesters, apis, lines, log, load)


def through(lines: Lines, settings: Settings) -> Settings:
    """The settings of an ingester and an API that reach the servers through these lines."""
    mongo, nats_url = f"mongodb://{lines.mongo.host}/?directConnection=true", f"nats://{lines.nats.host}"
    ports = {"ingest_port": lines.watch, "port": lines.port}
    return settings.model_copy(update={"mongo_url": mongo, "nats_url": nats_url} | ports)
