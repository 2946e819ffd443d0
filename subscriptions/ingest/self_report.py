"""What an ingester reports about itself: its name, and the reason while it cannot work."""

import os
import socket
import uuid
from contextlib import suppress
from typing import Final

import nats.errors

from eventscope.errors import EventscopeError, LeaseLost, QuestionTimedOut, Unavailable
from eventscope.store.log import Log
from eventscope.store.state import stopped

# while MongoDB is away nothing can be written there, and after a lost lease another ingester may be at work
UNPUBLISHED: Final = (LeaseLost, QuestionTimedOut, Unavailable)


def new_holder() -> str:
    """A unique name for this ingester, by which people can find it."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def reason(error: Exception) -> str:
    """The reason why an ingester stopped, in a sentence without secrets."""
    if isinstance(error, EventscopeError):
        return str(error)
    if isinstance(error, nats.errors.Error | OSError):
        return "NATS does not answer"
    return "ingest met an unexpected error, which is in its log"


async def publish_reason(log: Log, holder: str, error: Exception) -> None:
    """Write the reason where API processes and the doctor read it, if MongoDB accepts it."""
    if isinstance(error, UNPUBLISHED):
        return
    with suppress(EventscopeError):
        await stopped.report(log, holder, reason(error))
