"""Files and folders that only their owner may read: they may hold events, and addresses with passwords."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import IO

FOLDER, FILE = 0o700, 0o600


def folder(path: Path, only: Collection[str] | None = None) -> None:
    """Create a private folder, or make an existing one private; OSError if neither is possible.

    A folder that holds anything but the names in `only` is not ours alone, and stays as it is; so does another user's.
    """
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    if only is None or {entry.name for entry in path.iterdir()} <= set(only):
        close(path, FOLDER)


def append(path: Path) -> IO[bytes]:
    """Open a private file for appending; an existing one is made private."""
    file = open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE), "ab")  # noqa: SIM115 (the caller closes it)
    close(path, FILE)
    return file


def close(path: Path, mode: int) -> None:
    """Set the mode of an existing file or folder, if it belongs to us."""
    status = path.stat()
    if status.st_mode & 0o777 != mode and status.st_uid == os.geteuid():
        path.chmod(mode)
