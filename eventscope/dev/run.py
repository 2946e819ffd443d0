"""Runs `eventscope dev`: all servers as child processes that start and stop together."""

import asyncio
import http.client
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import orjson
from rich.console import Console

from eventscope.dev.data_folder import DATA_DIR, RunningDev, forget, locked
from eventscope.dev.servers import TRIES, EmbeddedServer, Mongod, Nats, PortTaken, ready
from eventscope.errors import CannotStart
from eventscope.processes import private
from eventscope.processes.ending import run_until, stop_request
from eventscope.processes.ports import HOST, free, is_free, recall
from eventscope.processes.supervisor import Child, Supervisor
from eventscope.redact import redacted
from eventscope.settings import NATS_ACCESS, Settings, variable
from eventscope.terminal import safe

PROGRAM = (sys.executable, "-m", "eventscope")
READY_SECONDS = 60.0
LEASE_SECONDS = 2.0  # short: after a kill, the old lease only delays the next start
HISTORY = 500  # past sample events, so that a new log shows something at once
SERVERS: Mapping[str, str] = {"mongo_url": "MongoDB", "nats_url": "NATS"}
QUERY = "{ events(first: 3) { nodes { position type aggregateId timestamp } } }"


async def run_dev(
    settings: Settings,
    *,
    port: int,
    data_dir: Path = DATA_DIR,
    sample: bool = False,
    seed: int | None = None,
    rate: float | None = None,
    console: Console,
    program: Sequence[str] = PROGRAM,
) -> int:
    """Run until SIGINT, SIGTERM or SIGHUP, and return the exit code.

    CannotStart when a server does not start, or when sample events would go to servers that are not embedded.
    """
    external = [variable(name) for name in SERVERS if getattr(settings, name)]
    if sample and external:
        name, them = ("names", "it") if len(external) == 1 else ("name", "both")
        raise CannotStart(
            f"--sample is for embedded servers only, but {' and '.join(external)} {name} others:"
            f" unset {them}, or leave out --sample"
        )
    with stop_request(signal.SIGHUP) as stop:
        async with locked(data_dir) as lock:
            forget(data_dir)
            if port and not is_free(port):
                raise CannotStart(f"port {port} on {HOST} is taken; --port 0 or {variable('port')}=0 picks a free one")
            dev = Dev(settings, port or free(), data_dir, console, program, lock)
            history = None if (data_dir / "nats").exists() else HISTORY
            options = _sample_options(seed=seed, rate=rate, history=history)
            try:
                try:
                    await run_until(stop, dev.start(options if sample else None))
                except CannotStart:
                    if not stop:  # once a stop is requested, nothing more needs to start
                        raise
                await stop.wait()
                dev.say("stopping")
            finally:
                await dev.stop()
    return 0


class Dev:
    """One run: the child processes on a data folder, which hold its `lock` while they live."""

    def __init__(
        self, settings: Settings, port: int, data_dir: Path, console: Console, program: Sequence[str], lock: int
    ) -> None:
        self._settings = settings
        self._port = port
        self._ingest_port = settings.ingest_port
        self._data_dir = data_dir
        self._console = console
        self._program = program
        self._supervisor = Supervisor(self.say, on_restart=self._write_addresses, descriptors=[lock])
        self._mongo = settings.mongo_url
        self._nats = settings.nats_url

    @property
    def _api(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def _ingest(self) -> str:
        return f"http://{HOST}:{self._ingest_port}"

    async def start(self, sample: Sequence[str] | None) -> None:
        """Start everything, or raise CannotStart; `sample` has options of `eventscope sample`, None for no events."""
        self.say("starting …")
        self._say_servers()
        self._nats = self._nats or await self._server("nats", Nats)
        self._mongo = self._mongo or await self._server("mongod", Mongod)
        self._ingest_port = self._ingest_port or free()
        ingest = self._command("ingest", "ingest")
        api = self._command("api", "serve", "--no-ingest")
        await self._supervisor.start(ingest)
        await self._supervisor.start(api)
        await self._until_ready(ingest, api)
        if sample is not None:
            await self._supervisor.start(self._command("sample", "sample", "--server", self._nats, *sample))
        self._supervisor.keep()
        self._write_addresses()
        self._greet()

    async def stop(self) -> None:
        """Stop everything: first the clients of the servers, then the servers."""
        forget(self._data_dir)
        await self._supervisor.stop("sample", "api", "ingest")
        await self._supervisor.stop("nats", "mongod")

    def say(self, text: str) -> None:
        """Print a line, unless the terminal is closed."""
        # rich raises SystemExit for a closed pipe; a closed terminal must not prevent an orderly stop
        with suppress(OSError, SystemExit):
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    async def _server(self, name: str, kind: Callable[[Path, int], EmbeddedServer]) -> str:
        folder = self._data_dir / name
        private.folder(folder)
        for _ in range(TRIES):
            server = kind(folder, recall(folder))
            child = Child(name, server.command(), self._log(name))
            await self._supervisor.start(child)
            try:
                await ready(server, lambda: self._supervisor.ending(name) is None)
            except PortTaken:
                continue
            except CannotStart as error:
                raise self._failure(child, str(error)) from None
            return server.url
        raise CannotStart(f"{name} found no port that stayed free")

    def _command(self, name: str, *arguments: str) -> Child:
        environment = {
            variable("mongo_url"): self._mongo,
            variable("nats_url"): self._nats,
            variable("host"): HOST,
            variable("port"): str(self._port),
            variable("ingest_port"): str(self._ingest_port),
            variable("lease_seconds"): str(min(LEASE_SECONDS, self._settings.lease_seconds)),
            **({} if self._settings.nats_url else {variable(field): "" for field in NATS_ACCESS}),
            "PYTHONUNBUFFERED": "1",  # so that logs can be read while they are written
        }
        return Child(name, [*self._program, *arguments], self._log(name), environment)

    def _log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"

    async def _until_ready(self, *children: Child) -> None:
        reason = ""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    for child in children:
                        if end := self._supervisor.ending(child.name):
                            raise self._failure(child, f"{child.name} {end} while starting")
                    status, reason = await asyncio.to_thread(_readyz, self._port)
                    if status == http.HTTPStatus.OK:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise self._failure(
                children[-1], f"the API was not ready within {READY_SECONDS:g} seconds: {reason}"
            ) from None

    def _failure(self, child: Child, reason: str) -> CannotStart:
        log = self._supervisor.log_tail(child.name)
        self.say(f"The end of {child.log}:" if log else f"{child.name} has written nothing to {child.log}.")
        for line in log.splitlines():
            self.say(safe(line))
        self.say("")
        return CannotStart(reason)

    def _write_addresses(self) -> None:
        pids = {"dev": os.getpid(), **self._supervisor.pids}
        RunningDev(self._api, self._mongo, self._nats, pids, self._ingest).write(self._data_dir)

    def _greet(self) -> None:
        body = orjson.dumps({"query": QUERY}).decode()
        self.say(f"Eventscope is ready. In a browser: {self._api}/graphql")
        self.say(f"Or from a shell: curl -s {self._api}/graphql -H 'content-type: application/json' -d '{body}'")
        self.say(f"Metrics: {self._api}/metrics, and those of the ingester at {self._ingest}/metrics")
        self.say(f"Data and logs are in {self._data_dir}; Ctrl-C stops everything.")

    def _say_servers(self) -> None:
        for field, name in SERVERS.items():
            url = getattr(self._settings, field)
            place = f"{redacted(url)}, not embedded ({variable(field)})" if url else f"embedded, in {self._data_dir}"
            self.say(f"{name}: {place}")


def _sample_options(**options: float | None) -> list[str]:
    return [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]


def _readyz(port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"{HOST}:{port} does not answer ({error})"
    finally:
        connection.close()
