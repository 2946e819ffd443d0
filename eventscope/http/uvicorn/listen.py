"""Listening sockets, set up so that answers leave at once and stuck clients are dropped."""

import socket
from contextlib import suppress
from typing import Final

from eventscope.errors import CannotStart
from eventscope.settings import variable

BACKLOG: Final = 2048
STUCK_MILLISECONDS: Final = 15_000
REMEDY: Final = (
    f"give another port with {variable('port')} or --port, or an address of this machine with {variable('host')}"
)


def listen(host: str, port: int, *, shared: bool = False, remedy: str = REMEDY) -> socket.socket:
    """Open a listening socket; several that are `shared` may listen on one port.

    Raises CannotStart, with the `remedy`, if the address cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port} ({error.strerror}); {remedy}") from None
    # asyncio sets it only on sockets created for a named protocol, unlike this one; without it, a request takes 46 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # the system drops a peer that stops reading; uvicorn would wait for it for ever
        with suppress(OSError):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MILLISECONDS)
    return listener
