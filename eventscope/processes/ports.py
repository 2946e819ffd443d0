"""Ports of this machine for the embedded servers."""

import random
import socket
from pathlib import Path

from eventscope.errors import CannotStart

HOST = "127.0.0.1"
# Below the ports for outgoing connections (from 32768 on Linux, 49152 elsewhere): while a server is down, a client that
# keeps calling one of those would eventually be connected to itself, and hold the port.
RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server can start on this port now."""
    with socket.socket() as probe:
        # as servers do, so that closed connections of a server that has just stopped do not block the port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free() -> int:
    """A port that no server listens on now; CannotStart if there is none."""
    for port in random.sample(RANGE, len(RANGE)):
        if is_free(port):
            return port
    raise CannotStart(f"all ports from {RANGE.start} to {RANGE.stop - 1} on {HOST} are taken")


def recall(folder: Path) -> int:
    """The port that the server of this folder had last time, or a free one if that is in use."""
    try:
        last_port = int((folder / "port").read_text())
    except (OSError, ValueError):
        return free()
    return last_port if is_free(last_port) else free()


def remember(folder: Path, port: int) -> None:
    """Store the port of this folder's server for its next start."""
    (folder / "port").write_text(f"{port}\n")
