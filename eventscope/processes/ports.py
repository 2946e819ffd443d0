"""Ports of this machine for servers of our own."""

import random
import socket
from pathlib import Path

from eventscope.errors import CannotStart

HOST = "127.0.0.1"
# Below the ports that systems hand out to outgoing connections (from 32768 on Linux, 49152 elsewhere): while a server
# is away, a client that calls its port again and again would else in the end be connected to itself and hold the port.
RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server can be started on this port now."""
    with socket.socket() as probe:
        # as servers do: closed connections of a server that has just stopped do not count
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free() -> int:
    """A port that nobody listens on now."""
    for port in random.sample(RANGE, len(RANGE)):
        if is_free(port):
            return port
    raise CannotStart(f"all ports from {RANGE.start} to {RANGE.stop - 1} on {HOST} are taken")


def recall(folder: Path) -> int:
    """The port that the server of this folder had last time, or a free one if that is taken now."""
    try:
        former = int((folder / "port").read_text())
    except (OSError, ValueError):
        return free()
    return former if is_free(former) else free()


def remember(folder: Path, port: int) -> None:
    """Keep the port of the server of this folder for its next start."""
    (folder / "port").write_text(f"{port}\n")
