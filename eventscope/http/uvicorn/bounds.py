"""How many connections an API process holds open, and how long it waits for what comes or goes on one of them."""

import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from eventscope.settings import Settings, variable

PLAIN: Final = 1_000  # connections for requests, beside those that stay open as WebSockets and event streams
RESERVED: Final = 256  # descriptors for connections to MongoDB and NATS, for files, and for the spare connections
SPARE: Final = 64  # connections over the bound, on which health is told and nothing else

logger = logging.getLogger(__name__)


class Spare(Protocol):
    """A connection over the bound."""

    def give_up(self, reason: str | None) -> None:
        """Break it off."""
        ...


@dataclass(slots=True)
class Bounds:
    """Those of one process. `given_up` hears why a connection was turned away or broken off."""

    connections: int = 11_000
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    client_rate: int = 16_384
    """Bytes a second that a client must take of what waits for it, on average; 0 for any."""
    given_up: Callable[[str], None] = lambda reason: None
    spare: dict["Spare", None] = field(default_factory=dict)
    """The connections over the bound, the one that was opened first at the front."""
    _is_full: bool = field(default=False, init=False)

    def has_room(self, open: int) -> bool:
        """Whether the last of so many open connections is within the bound; it is logged when that changes."""
        if open > self.connections and not self._is_full:
            self._is_full = True
            logger.error(
                "%d connections are open, as many as may be: more are turned away, but for health checks (%s)",
                self.connections,
                variable("connections"),
            )
        elif self._is_full and open < self.connections * 0.9:
            self._is_full = False
            logger.warning("there is room for connections again")
        return open <= self.connections


def bounds(settings: Settings, given_up: Callable[[str], None]) -> Bounds:
    """Those that the settings ask for, as far as the system has descriptors; as many as may be are asked of it."""
    wanted = settings.connections + PLAIN
    limit = descriptors(wanted + RESERVED)
    room = max(1, min(wanted, limit - RESERVED))
    if room < wanted:
        logger.warning(
            "%d connections may be open, for there are %d descriptors; for %d (%s, and %d for requests) raise the hard"
            " limit (ulimit -Hn)",
            room,
            limit,
            wanted,
            variable("connections"),
            PLAIN,
        )
    return Bounds(
        room,
        settings.header_seconds,
        settings.body_seconds,
        settings.client_rate,
        given_up,
    )


def descriptors(wanted: int) -> int:
    """How many descriptors this process may have, after the soft limit was raised to so many, or to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError) as error:  # as on macOS, where the kernel has a limit of its own
        logger.warning("the limit of descriptors stays at %d: %s", soft, error)
        return soft
    logger.info("the limit of descriptors was %d and is %d now", soft, most)
    return most
