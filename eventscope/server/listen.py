"""Sockets that listen, set up so that answers leave at once and stuck clients are dropped."""

import socket
from contextlib import suppress
from typing import Final

from eventscope.errors import CannotStart
from eventscope.settings import variable

BACKLOG: Final = 2048
STUCK_MILLISECONDS: Final = 15_000


def listening(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens there, `shared` with others on the same port; CannotStart when it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        raise CannotStart(
            f"{host}:{port} cannot be listened on ({error.strerror}); set {variable('port')} to another"
            f" port, or {variable('host')} to an address of this machine"
        ) from None
    # asyncio sets it only on sockets that say which protocol they are for, and this one's do not: 46 ms a request
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # a peer that stops reading is dropped, where uvicorn would wait for it for ever
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener
