"""A file that is written in parts, and gets its name only when it is complete.

Until then it is `FILE.part`, with its progress in `FILE.part.json`. The progress covers only bytes that are on disk;
bytes after these, like half a line of a killed writer, are discarded and written again.
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
class ExportProgress:
    """How far an export is: the end of the log when it began (`up_to`, `head`), and the last event written.

    `up_to` is None if the log was empty. `count` is the number of events written.
    """

    up_to: str | None
    head: int
    cursor: str | None
    position: int = 0
    count: int = 0

    def after(self, event: Event) -> Self:
        """The progress once that event is written."""
        return replace(self, cursor=event.cursor, position=event.position, count=self.count + 1)


class PartFile:
    """Open one with `open_part_file`. `progress` is that of an earlier run, or None."""

    def __init__(self, path: Path, file: IO[bytes], options: Mapping[str, Any]) -> None:
        self._path = path
        self._file = file
        self._options = dict(options)
        self._digest = hashlib.sha256()
        self.progress = self._resume()

    @property
    def sha256(self) -> str:
        """The digest of all bytes written, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append these bytes."""
        self._file.write(data)
        self._digest.update(data)

    def save(self, progress: ExportProgress) -> None:
        """Flush all bytes to disk, and record the progress that they stand for."""
        self._file.flush()
        os.fsync(self._file.fileno())
        state = {"asked": self._options, "reached": asdict(progress), "bytes": self._file.tell()}
        state_file = _beside(self._path, ".part.json.new")
        with state_file.open("wb") as file:
            file.write(orjson.dumps(state))
            file.flush()
            os.fsync(file.fileno())
        state_file.replace(_beside(self._path, ".part.json"))

    def finish(self) -> None:
        """Give the complete file its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        _beside(self._path, ".part").rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        _beside(self._path, ".part.json").unlink()

    def _resume(self) -> ExportProgress | None:
        try:
            state = orjson.loads(_beside(self._path, ".part.json").read_bytes())
            options, progress, size = state["asked"], ExportProgress(**state["reached"]), state["bytes"]
        except (OSError, ValueError, TypeError, KeyError):
            if os.fstat(self._file.fileno()).st_size:
                raise BadInput(
                    f"{self._path}.part exists without a record of its progress: remove it, or give another name",
                    "out",
                ) from None
            return None
        if os.fstat(self._file.fileno()).st_size < size:
            # somebody has shortened the file since then
            self._file.truncate(0)
            return None
        if options != self._options:
            raise BadInput(
                f"{self._path}.part was begun with other options: give the same ones to resume, or remove it", "out"
            )
        while self._file.tell() < size:
            self._digest.update(self._file.read(min(CHUNK, size - self._file.tell())))
        self._file.truncate(size)
        return progress


@contextmanager
def open_part_file(path: Path, options: Mapping[str, Any]) -> Iterator[PartFile]:
    """A new part file, or the one of an earlier run with the same `options`, to be resumed.

    BadInput when the complete file exists, the options differ, another process writes it, or it cannot be written.
    """
    if path.exists():
        raise BadInput(f"{path} already exists: remove it, or give another name", "out")
    try:
        descriptor = os.open(_beside(path, ".part"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror})", "out") from None
    try:
        with open(descriptor, "r+b") as file:
            _lock(file, path)
            yield PartFile(path, file, options)
    except OSError as error:  # also from closing the file, which flushes it
        raise BadInput(f"{path}.part cannot be written ({error.strerror})", "out") from None


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadInput(f"{path} is being written by another export", "out") from None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
