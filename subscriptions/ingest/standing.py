"""An ingester as others know it: its name, and the reason that it leaves for them while it cannot work."""

import os
import socket
import uuid
from contextlib import suppress
from typing import Final

import nats.errors

from eventscope.errors import EventscopeError, LeaseLost, QuestionTimedOut, Unavailable
from eventscope.store.log import Log
from eventscope.store.state import stopped

# with MongoDB away nothing can be left there, and another one may be at work after a lease was lost
UNSAID: Final = (LeaseLost, QuestionTimedOut, Unavailable)


def new_holder() -> str:
    """A name for this ingester by which people can find it, and that no other has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def trouble(error: Exception) -> str:
    """What stops an ingester, in a sentence that anybody may read."""
    if isinstance(error, EventscopeError):
        return str(error)
    if isinstance(error, nats.errors.Error | OSError):
        return "NATS does not answer"
    return "ingest met an unexpected error, which is in its log"


async def leave(log: Log, holder: str, error: Exception) -> None:
    """Leave the reason where every API process and the doctor can read it, if it can be written."""
    if isinstance(error, UNSAID):
        return
    with suppress(EventscopeError):
        await stopped.report(log, holder, trouble(error))
