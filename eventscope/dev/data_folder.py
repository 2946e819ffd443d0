"""The data folder: the lock that one `eventscope dev` holds, and the file by which other commands find it."""

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
DATA_DIR_HELP = "Folder of an `eventscope dev`: its servers are used where the settings name none."
OURS = frozenset({"lock", "running.json", "running.json.new", "logs", "nats", "mongod"})
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RunningDev:
    """Addresses and process ids of a running `eventscope dev`; `pids` has no id for a server that is not embedded."""

    api: str
    mongo: str
    nats: str
    pids: Mapping[str, int]
    ingest: str = ""

    def write(self, data_dir: Path) -> None:
        """Write the file in one step, readable by the owner only: an address may hold a password."""
        fresh = data_dir / "running.json.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2))
        fresh.replace(data_dir / "running.json")


def forget(data_dir: Path) -> None:
    """Remove the file."""
    (data_dir / "running.json").unlink(missing_ok=True)


def running_dev(data_dir: Path = DATA_DIR) -> RunningDev | None:
    """The `eventscope dev` that runs on this folder, or None; a file left behind by a killed one does not count."""
    try:
        dev = RunningDev(**orjson.loads((data_dir / "running.json").read_bytes()))
        os.kill(dev.pids["dev"], 0)
        lock = os.open(data_dir / "lock", os.O_RDONLY)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    try:
        # the process id may belong to another program by now, but the lock is free only when its holder is gone
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return dev
    finally:
        os.close(lock)
    return None


def with_running_servers(settings: Settings, data_dir: Path = DATA_DIR) -> Settings:
    """The settings, with servers of the running `eventscope dev`, if any, filled in where they name none."""
    dev = running_dev(data_dir)
    if dev is None:
        return settings
    servers = {"mongo_url": settings.mongo_url or dev.mongo, "nats_url": settings.nats_url or dev.nats}
    if not settings.nats_url:
        servers |= dict.fromkeys(NATS_ACCESS, "")
    return settings.model_copy(update=servers)


@asynccontextmanager
async def locked(data_dir: Path) -> AsyncIterator[int]:
    """Lock the folder for the block; CannotStart, with its address, if another `eventscope dev` holds it.

    Yields the lock's file descriptor. Children inherit it and so keep the folder locked: nothing starts on it while a
    process of a killed predecessor still writes there.
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
                    if other := running_dev(data_dir):
                        raise CannotStart(
                            f"`eventscope dev` is already running on {data_dir}, at {other.api};"
                            " to run a second one, give it another folder with --data-dir"
                        ) from None
                    await asyncio.sleep(0.02)
                else:
                    return
    except TimeoutError:
        raise CannotStart(
            f"another `eventscope dev` is starting or stopping on {data_dir};"
            " try again, or give this one another folder with --data-dir"
        ) from None
