"""A PostgreSQL server for a peer that can use one, if PostgreSQL is installed on this machine."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventscope.processes.ports import HOST, free

NAME: Final = "postgres"  # of the superuser, of the database, and perhaps of the account
DEBIAN: Final = Path("/usr/lib/postgresql")
START_SECONDS: Final = 30.0


def programs() -> Path | None:
    """The folder of PostgreSQL's programs; None if it is not installed."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next((folder / "bin" for folder in sorted(DEBIAN.glob("*"), reverse=True)), None)


def version(folder: Path) -> str:
    """The version of the server."""
    output = subprocess.run([str(folder / "postgres"), "--version"], check=True, capture_output=True, text=True)
    return output.stdout.split()[2]


@contextmanager
def running(programs: Path) -> Iterator[int]:
    """The port of a server, which runs for the length of the block. With its defaults, all it committed is on disk."""
    account = _account()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        port = free()
        if account is not None:  # it refuses to run as root
            shutil.chown(folder, account)
        init_options = ["-D", f"{folder}/data", "-U", NAME, "-A", "trust", "-E", "UTF8", "--locale", "C"]
        subprocess.run(
            [str(programs / "initdb"), *init_options],
            check=True,
            stdout=subprocess.DEVNULL,
            user=account,
            cwd=folder,
        )
        options = ["-p", str(port), "-h", HOST, "-c", "unix_socket_directories="]
        server = subprocess.Popen(
            [str(programs / "postgres"), "-D", f"{folder}/data", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account,
            cwd=folder,
        )
        try:
            _wait(programs, port, server)
            yield port
        finally:
            server.terminate()
            server.wait()


def _account() -> str | None:
    """The account to run it under; None for our own, unless that is root."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return NAME if NAME in known else "nobody"


def _wait(programs: Path, port: int, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    ask = [str(programs / "pg_isready"), "--quiet", "-h", HOST, "-p", str(port)]
    while subprocess.run(ask, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError("PostgreSQL does not start")
        time.sleep(0.1)
