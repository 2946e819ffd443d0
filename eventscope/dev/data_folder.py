"""What runs on a data folder: the lock that one `eventscope dev` holds, and the file by which others find it."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from eventscope.errors import CannotStart
from eventscope.processes import private
from eventscope.settings import NATS_ACCESS, Settings

DATA_DIR = Path(".eventscope")
DATA_DIR_HELP = "Folder of an `eventscope dev`, whose servers are used where none are set."
OURS = frozenset({"lock", "running.json", "running.json.new", "logs", "nats", "mongod"})
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """The addresses and process ids of what runs; a server that was given from outside has no id here."""

    api: str
    mongo: str
    nats: str
    pids: Mapping[str, int]
    ingest: str = ""

    def write(self, data_dir: Path) -> None:
        """Make it known, all at once; to the owner only, for an address can hold a password."""
        fresh = data_dir / "running.json.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        fresh.replace(data_dir / "running.json")


def forget(data_dir: Path) -> None:
    """Nothing runs here any more."""
    (data_dir / "running.json").unlink(missing_ok=True)


def running(data_dir: Path = DATA_DIR) -> Running | None:
    """What runs on this folder now; a file left behind by one that was killed is not believed."""
    try:
        found = Running(**orjson.loads((data_dir / "running.json").read_bytes()))
        os.kill(found.pids["dev"], 0)
        lock = os.open(data_dir / "lock", os.O_RDONLY)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    try:
        # the process id may be another program's by now, but a lock can be had only when its holder is gone
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found
    finally:
        os.close(lock)
    return None


def found(settings: Settings, data_dir: Path = DATA_DIR) -> Settings:
    """The settings, with the servers of what runs on this folder where they name none; unchanged if nothing does."""
    here = running(data_dir)
    if here is None:
        return settings
    given = {"mongo_url": settings.mongo_url or here.mongo, "nats_url": settings.nats_url or here.nats}
    if not settings.nats_url:
        given |= dict.fromkeys(NATS_ACCESS, "")
    return settings.model_copy(update=given)


@asynccontextmanager
async def locked(data_dir: Path) -> AsyncIterator[int]:
    """Hold the folder alone, or CannotStart naming who has it.

    The lock is given as a file descriptor: children that keep it open keep the folder locked, so that nothing starts
    on it while a process of a killed predecessor still writes there.
    """
    lock = _open(data_dir)
    try:
        await _take(lock, data_dir)
        yield lock
    finally:
        os.close(lock)


def _open(data_dir: Path) -> int:
    try:
        private.folder(data_dir, only=OURS)
        return os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(f"{data_dir} cannot be the data folder: {error.strerror}") from None


async def _take(lock: int, data_dir: Path) -> None:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if other := running(data_dir):
                        raise CannotStart(
                            f"eventscope dev runs on {data_dir} already, at {other.api};"
                            " give --data-dir another folder to run one beside it"
                        ) from None
                    await asyncio.sleep(0.02)
                else:
                    return
    except TimeoutError:
        raise CannotStart(
            f"another eventscope dev is starting or stopping on {data_dir};"
            " try again, or give --data-dir another folder to run one beside it"
        ) from None
