"""A file that is written bit by bit, and bears its name only when it is whole.

Until then it is `FILE.part`, and `FILE.part.json` beside it says how far it is. What the latter speaks of is on the
disk; what comes after that in the former, as a line that was cut when its writer was killed, is written anew.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson

from eventscope.client.event import Event
from eventscope.errors import BadInput

CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reached:
    """How far an export is: the end of the log when it began, the last event that is written, and how many there are.

    `up_to` is None where the log was empty.
    """

    up_to: str | None
    head: int
    cursor: str | None
    position: int = 0
    count: int = 0

    def at(self, event: Event) -> Self:
        """With that event written, too."""
        return replace(self, cursor=event.cursor, position=event.position, count=self.count + 1)


class PartFile:
    """Made by `begun`. `reached` is what an earlier run came to; None where there was none."""

    def __init__(self, path: Path, file: IO[bytes], asked: Mapping[str, Any]) -> None:
        self._path = path
        self._file = file
        self._asked = dict(asked)
        self._digest = hashlib.sha256()
        self.reached = self._go_on()

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Write these bytes after all others."""
        self._file.write(data)
        self._digest.update(data)

    def note(self, reached: Reached) -> None:
        """Make sure that what was written stays, and note how far that is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        state = {"asked": self._asked, "reached": asdict(reached), "bytes": self._file.tell()}
        fresh = _beside(self._path, ".part.json.new")
        with fresh.open("wb") as file:
            file.write(orjson.dumps(state))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(_beside(self._path, ".part.json"))

    def finish(self) -> None:
        """Give the file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _beside(self._path, ".part").rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        _beside(self._path, ".part.json").unlink()

    def _go_on(self) -> Reached | None:
        try:
            state = orjson.loads(_beside(self._path, ".part.json").read_bytes())
            asked, reached, size = state["asked"], Reached(**state["reached"]), state["bytes"]
        except (OSError, ValueError, TypeError, KeyError):
            if os.fstat(self._file.fileno()).st_size:
                raise BadInput(
                    f"{self._path}.part is there, and nothing says how far it is: remove it, or give another name",
                    "out",
                ) from None
            return None
        if os.fstat(self._file.fileno()).st_size < size:
            # somebody removed what the state speaks of
            self._file.truncate(0)
            return None
        if asked != self._asked:
            raise BadInput(
                f"{self._path}.part was begun with other options: give the same ones to go on, or remove it", "out"
            )
        while self._file.tell() < size:
            self._digest.update(self._file.read(min(CHUNK, size - self._file.tell())))
        self._file.truncate(size)
        return reached


@contextmanager
def begun(path: Path, asked: Mapping[str, Any]) -> Iterator[PartFile]:
    """The file, to be written or to be gone on with as it was `asked` for the first time.

    BadInput when it is there already, or somebody else is writing it.
    """
    if path.exists():
        raise BadInput(f"{path} is there already: remove it, or give another name", "out")
    try:
        descriptor = os.open(_beside(path, ".part"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror})", "out") from None
    try:
        with open(descriptor, "r+b") as file:
            _lock(file, path)
            yield PartFile(path, file, asked)
    except OSError as error:  # also when it is closed with something unwritten
        raise BadInput(f"{path}.part cannot be written on ({error.strerror})", "out") from None


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"{path} is being written by another export", "out") from None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
