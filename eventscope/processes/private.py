"""Files and folders that only their owner may read: events, and addresses with passwords, may stand in them."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import IO

FOLDER, FILE = 0o700, 0o600


def folder(path: Path, only: Collection[str] | None = None) -> None:
    """Have such a folder; OSError when that cannot be.

    One that exists is closed to others as well, unless it holds anything beside the names in `only`: then it is not
    ours alone. One that belongs to somebody else is left as it is.
    """
    path.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    if only is None or {entry.name for entry in path.iterdir()} <= set(only):
        close(path, FOLDER)


def append(path: Path) -> IO[bytes]:
    """Open such a file for writing at its end; one that exists is closed to others as well."""
    file = open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE), "ab")  # noqa: SIM115 (the caller closes it)
    close(path, FILE)
    return file


def close(path: Path, mode: int) -> None:
    """Close to others what exists, if it is ours to close."""
    found = path.stat()
    if found.st_mode & 0o777 != mode and found.st_uid == os.geteuid():
        path.chmod(mode)
