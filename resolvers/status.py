"""The status of the log: its ends, rejected messages, and what happened to its stream."""

from dataclasses import dataclass

from eventscope.store.events import pages
from eventscope.store.log import Log, server_version
from eventscope.store.rejected import messages, quota
from eventscope.store.rejected.quota import Dropped
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import LogCheckpoint


@dataclass(frozen=True, slots=True)
class Status:
    """What the store knows about the log. `head` is 0 and `first_position` None while the log is empty."""

    head: int
    first_position: int | None
    rejected: int
    mongodb_version: str
    checkpoint: LogCheckpoint


async def status(log: Log) -> Status:
    """The current status."""
    at = await checkpoint.read(log)
    return Status(at.head, await pages.first_position(log), await messages.count(log), await server_version(log), at)


async def dropped(log: Log) -> Dropped | None:
    """The rejected messages that were dropped to stay within the limit; None if none were."""
    return await quota.dropped(log)
