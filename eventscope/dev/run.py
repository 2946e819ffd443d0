"""The command `eventscope dev`: everything on this machine, in child processes that start, live and stop together."""

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
LEASE_SECONDS = 2.0  # nobody else stands by here, and whoever was killed should not be waited for
HISTORY = 500  # sample events of the days before, so that a new log has something to show at once
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
    """Run until a signal asks for the end, and return the exit code.

    CannotStart when something does not come up, or when the sample business would reach servers that are not embedded.
    """
    given = [variable(name) for name in SERVERS if getattr(settings, name)]
    if sample and given:
        raise CannotStart(
            f"--sample is for the embedded servers alone, but others are named by {' and '.join(given)}:"
            f" unset {'both' if len(given) > 1 else 'it'}, or leave out --sample"
        )
    with stop_request(signal.SIGHUP) as asked:
        async with locked(data_dir) as lock:
            forget(data_dir)
            if port and not is_free(port):
                raise CannotStart(
                    f"port {port} on {HOST} is taken; --port 0 takes any free one, and so does {variable('port')}=0"
                )
            dev = Dev(settings, port or free(), data_dir, console, program, lock)
            history = None if (data_dir / "nats").exists() else HISTORY
            options = _sample_options(seed=seed, rate=rate, history=history)
            try:
                try:
                    await run_until(asked, dev.start(options if sample else None))
                except CannotStart:
                    if not asked:  # or what does not come up need not come up any more
                        raise
                await asked.wait()
                dev.say("stopping")
            finally:
                await dev.stop()
    return 0


class Dev:
    """One run: the children on a data folder, which hold its `lock` as long as they live."""

    def __init__(
        self, settings: Settings, port: int, data_dir: Path, console: Console, program: Sequence[str], lock: int
    ) -> None:
        self._settings = settings
        self._port = port
        self._ingest_port = settings.ingest_port
        self._data_dir = data_dir
        self._console = console
        self._program = program
        self._supervisor = Supervisor(self.say, on_restart=self._publish, descriptors=[lock])
        self._mongo = settings.mongo_url
        self._nats = settings.nats_url

    @property
    def _api(self) -> str:
        return f"http://{HOST}:{self._port}"

    @property
    def _ingest(self) -> str:
        return f"http://{HOST}:{self._ingest_port}"

    async def start(self, sample: Sequence[str] | None) -> None:
        """Bring all up, or raise CannotStart; `sample` are the options for the events that are made up."""
        self.say("starting …")
        self._say_servers()
        self._nats = self._nats or await self._server("nats", Nats)
        self._mongo = self._mongo or await self._server("mongod", Mongod)
        self._ingest_port = self._ingest_port or free()
        ingest = self._command("ingest", "ingest")
        api = self._command("api", "serve", "--no-ingest")
        await self._supervisor.start(ingest)
        await self._supervisor.start(api)
        await self._answer(ingest, api)
        if sample is not None:
            await self._supervisor.start(self._command("sample", "sample", "--server", self._nats, *sample))
        self._supervisor.keep()
        self._publish()
        self._greet()

    async def stop(self) -> None:
        """End all: first those who ask, then those who are asked."""
        forget(self._data_dir)
        await self._supervisor.stop("sample", "api", "ingest")
        await self._supervisor.stop("nats", "mongod")

    def say(self, text: str) -> None:
        """Show a line, if there still is somebody to read it."""
        # rich answers a closed pipe with SystemExit; a closed terminal must not keep us from stopping in order
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
            "PYTHONUNBUFFERED": "1",  # a log that is read while it is written
        }
        return Child(name, [*self._program, *arguments], self._log(name), environment)

    def _log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"

    async def _answer(self, *children: Child) -> None:
        reason = ""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    for child in children:
                        if end := self._supervisor.ending(child.name):
                            raise self._failure(child, f"{child.name} {end} while it was being started")
                    status, reason = await asyncio.to_thread(_readyz, self._port)
                    if status == http.HTTPStatus.OK:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise self._failure(
                children[-1], f"the API was not ready within {READY_SECONDS:g} seconds: {reason}"
            ) from None

    def _failure(self, child: Child, reason: str) -> CannotStart:
        said = self._supervisor.log_tail(child.name)
        self.say(f"The end of {child.log}:" if said else f"{child.name} has written nothing to {child.log}.")
        for line in said.splitlines():
            self.say(safe(line))
        self.say("")
        return CannotStart(reason)

    def _publish(self) -> None:
        pids = {"dev": os.getpid(), **self._supervisor.pids}
        RunningDev(self._api, self._mongo, self._nats, pids, self._ingest).write(self._data_dir)

    def _greet(self) -> None:
        body = orjson.dumps({"query": QUERY}).decode()
        self.say(f"Eventscope is ready. In a browser: {self._api}/graphql")
        self.say(f"Or ask from here: curl -s {self._api}/graphql -H 'content-type: application/json' -d '{body}'")
        self.say(f"Metrics: {self._api}/metrics and, of the ingester, {self._ingest}/metrics")
        self.say(f"Data and logs are in {self._data_dir}; Ctrl-C ends it.")

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
