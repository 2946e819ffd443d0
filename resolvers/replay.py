"""Where a replay begins and ends: the log stands still for it, from its first moment on."""

from eventscope.errors import BadInput
from eventscope.resolvers import cursor, own
from eventscope.store.log import Log
from eventscope.store.state import checkpoint


async def bounds(log: Log, after: str | None, up_to: str | None) -> tuple[int, int]:
    """The position behind which it begins and the last one: the end of the log as it is now, or was when the replay
    began whose cursor `after` is, and not beyond the cursor `up_to`.

    BadInput for a cursor from beyond the end of the log, WrongLog for one of another log.
    """
    start = None if after is None else cursor.decode("e", after, "after")
    end = None if up_to is None else cursor.decode("e", up_to, "upTo")
    head = await checkpoint.head(log)
    own.compare(log, start, end)
    if start is not None and max(start.place, start.head or 0) > head:
        raise BadInput(f"after: the cursor {after!r} lies beyond the end of this log", "after")
    pinned = head if start is None or start.head is None else start.head
    return 0 if start is None else start.place, pinned if end is None else min(end.place, pinned)
