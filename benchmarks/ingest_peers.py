"""Peers that store events with versions, each in an environment of its own, which is created here if missing."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from benchmarks import postgres
from benchmarks.events import write
from benchmarks.stage import Servers
from eventscope.processes.guard import guard_command, lifeline
from eventscope.processes.ports import HOST

PLACE: Final = Path(__file__).parent / "peers"
EMMETT: Final = PLACE / "node"
PYTHON: Final = PLACE / "pyeventsourcing"


@dataclass(frozen=True, slots=True)
class Order:
    """What a peer's program has to store, and where; `name` is for the database that it creates."""

    file: Path
    servers: Servers
    name: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer, used in one way. `one`: each event is appended by itself, which is slow."""

    name: str
    version: tuple[str, str]
    one: bool
    command: Callable[[Order], Sequence[str]]
    environment: Callable[[Order], Mapping[str, str]] = lambda order: {}

    async def rate(self, servers: Servers, events: int, name: str) -> float:
        """Events per second, as the peer's program measures it."""
        folder = servers.folder / name
        folder.mkdir()
        order = Order(folder / "events.jsonl", servers, name)
        write(order.file, events)
        process = await asyncio.create_subprocess_exec(
            *guard_command(self.command(order)),
            stdin=lifeline(),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | self.environment(order),
        )
        out, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{self.name} failed")
        shutil.rmtree(folder)
        return float(orjson.loads(out)["rate"])


@contextmanager
def peers() -> Iterator[list[Peer]]:
    """The peers that can run on this machine, for the length of the block; installs what they need."""
    with ExitStack() as stack:
        found = list[Peer]()
        if shutil.which("npm"):
            npm_install(EMMETT)
            found += [_emmett("one"), _emmett("batch")]
        python = _environment(PYTHON)
        found += [_in_sqlite(python, "one"), _in_sqlite(python, "batch")]
        if (programs := postgres.programs()) is not None:
            port = stack.enter_context(postgres.running(programs))
            found += [_in_postgres(python, how, port, postgres.version(programs)) for how in ("one", "batch")]
        yield found


def _emmett(how: str) -> Peer:
    def command(order: Order) -> Sequence[str]:
        return ["node", str(EMMETT / "emmett.mjs"), str(order.file), order.servers.mongo, order.name, how]

    version = orjson.loads((EMMETT / "package.json").read_bytes())["dependencies"]["@event-driven-io/emmett-mongodb"]
    name = f"emmett, MongoDB, an append for {'each event' if how == 'one' else 'a stream'}"
    return Peer(name, ("emmett-mongodb", version), how == "one", command)


def _in_sqlite(python: Path, how: str) -> Peer:
    def environment(order: Order) -> Mapping[str, str]:
        return {"SQLITE_DBNAME": str(order.file.with_name("events.sqlite"))}

    version = (PYTHON / "requirements.txt").read_text().splitlines()[0].partition("==")[2]
    return Peer(
        f"pyeventsourcing, SQLite file, {_saves(how)}",
        ("eventsourcing", version),
        how == "one",
        lambda order: [str(python), str(PYTHON / "append.py"), str(order.file), how, "sqlite"],
        environment,
    )


def _in_postgres(python: Path, how: str, port: int, version: str) -> Peer:
    def environment(order: Order) -> Mapping[str, str]:
        settings = {"DBNAME": postgres.NAME, "HOST": HOST, "PORT": str(port), "USER": postgres.NAME, "PASSWORD": "-"}
        return {f"POSTGRES_{key}": value for key, value in settings.items()} | {"APPLICATION_NAME": order.name}

    return Peer(
        f"pyeventsourcing, PostgreSQL, {_saves(how)}",
        ("PostgreSQL", version),
        how == "one",
        lambda order: [str(python), str(PYTHON / "append.py"), str(order.file), how, "postgres"],
        environment,
    )


def _saves(how: str) -> str:
    return "a save for each event" if how == "one" else "a save for 500 events"


def npm_install(folder: Path) -> None:
    """Install the packages that package.json pins, unless they are up to date."""
    package, installed = folder / "package.json", folder / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < package.stat().st_mtime:
        quiet = ["--ignore-scripts", "--no-progress", "--loglevel=error"]
        subprocess.run(["npm", "install", *quiet], cwd=folder, check=True, stdout=sys.stderr)
        os.utime(installed)


def _environment(folder: Path) -> Path:
    """The interpreter of a virtual environment for requirements.txt; recreated when that file changes."""
    requirements, place = folder / "requirements.txt", folder / ".venv"
    python, installed = place / "bin" / "python", place / "requirements.txt"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "-r", str(requirements)], check=True, stdout=sys.stderr)
        shutil.copy(requirements, installed)
    return python
