"""How many connections an API process keeps open, and how long it waits for a client to send or to read."""

import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from eventscope.settings import Settings, variable

PLAIN: Final = 1_000  # connections for requests, beside those that stay open as WebSockets and event streams
RESERVED: Final = 256  # file descriptors for connections to MongoDB and NATS, for files, and for spare connections
SPARE: Final = 64  # connections over the bound, which get answers to health checks only

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """How long the application waits: for a client, and for MongoDB when its health is checked."""

    init_seconds: float = 10.0
    """For the first message on a WebSocket."""
    send_seconds: float = 10.0
    """For one send on a WebSocket or an event stream; a client that takes longer is cut off."""
    linger_seconds: float = 20.0
    """For the end of a stream that was cut off; by then the system has dropped a peer that stopped reading."""
    keep_seconds: float = 12.0
    """Before a comment on a silent stream: proxies drop those that are silent for a minute, some after 15 seconds."""
    look_seconds: float = 2.0
    """For MongoDB's answer: health checks do not wait long."""


class Spare(Protocol):
    """A connection over the bound."""

    def drop(self, reason: str | None) -> None:
        """Break it off."""
        ...


@dataclass(slots=True, kw_only=True)
class Bounds:
    """The bounds of one process. `on_drop` is called with the reason why a connection was refused or broken off."""

    connections: int = 11_000
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 5.0
    """For the next request after an answer."""
    head_bytes: int = 65_536
    """Bytes of one request beside its body, in addition to what its size brings about."""
    client_rate: int = 16_384
    """Bytes per second that a client must read of what waits for it, on average; 0 for no minimum."""
    slow_seconds: float = 10.0
    """Before a client's reading rate is judged."""
    spare_seconds: float = 2.0
    """For the request on a connection over the bound."""
    on_drop: Callable[[str], None] = lambda reason: None
    spare: dict["Spare", None] = field(default_factory=dict)
    """The connections over the bound, oldest first."""
    _is_full: bool = field(default=False, init=False)

    def has_room(self, open: int) -> bool:
        """Whether the last of this many open connections is within the bound; a change is logged."""
        if open > self.connections and not self._is_full:
            self._is_full = True
            logger.error(
                "%d connections are open, which is the limit: more are refused, except for health checks (%s)",
                self.connections,
                variable("connections"),
            )
        elif self._is_full and open < self.connections * 0.9:
            self._is_full = False
            logger.warning("new connections are accepted again")
        return open <= self.connections


def bounds(settings: Settings, on_drop: Callable[[str], None]) -> Bounds:
    """The bounds in the settings, reduced if the system does not give this process enough file descriptors."""
    target = settings.connections + PLAIN
    limit = raise_descriptors(target + RESERVED)
    connections = max(1, min(target, limit - RESERVED))
    if connections < target:
        logger.warning(
            "at most %d connections may be open, since there are %d file descriptors; for %d (%s, and %d for requests),"
            " raise the hard limit (ulimit -Hn)",
            connections,
            limit,
            target,
            variable("connections"),
            PLAIN,
        )
    return Bounds(
        connections=connections,
        header_seconds=settings.header_seconds,
        body_seconds=settings.body_seconds,
        client_rate=settings.client_rate,
        on_drop=on_drop,
    )


def raise_descriptors(target: int) -> int:
    """Raise the soft limit of file descriptors to this number, or to the hard limit; returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = target if hard == resource.RLIM_INFINITY else min(target, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return target if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError) as error:  # as on macOS, where the kernel has another limit too
        logger.warning("the limit of file descriptors stays at %d: %s", soft, error)
        return soft
    logger.info("raised the limit of file descriptors from %d to %d", soft, most)
    return most
