"""How the log itself is doing: its ends, what was rejected, what happened to its source."""

from dataclasses import dataclass

from eventscope.store import checkpoint, read, rejected, rejected_room
from eventscope.store.checkpoint import Checkpoint
from eventscope.store.log import Log, server_version
from eventscope.store.rejected_room import Dropped


@dataclass(frozen=True, slots=True)
class Status:
    """What the store knows of the log. `head` is 0 and `first_position` None while it is empty."""

    head: int
    first_position: int | None
    rejected: int
    mongodb_version: str
    checkpoint: Checkpoint


async def status(log: Log) -> Status:
    """The log as it is now."""
    at = await checkpoint.read(log)
    return Status(at.head, await read.first_position(log), await rejected.count(log), await server_version(log), at)


async def dropped(log: Log) -> Dropped | None:
    """The rejected messages that were dropped for want of room; None when none were."""
    return await rejected_room.dropped(log)
