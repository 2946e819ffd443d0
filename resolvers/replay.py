"""Where a replay begins and ends: it is pinned to the end of the log at its first page."""

from eventscope.errors import BadInput
from eventscope.resolvers import cursor, same_log
from eventscope.store.log import Log
from eventscope.store.state import checkpoint


async def bounds(log: Log, after: str | None, up_to: str | None) -> tuple[int, int]:
    """The position after which a replay begins, and its last position.

    It ends at the head of the log now, or at the head in the cursor `after` of an earlier page, but never beyond the
    cursor `up_to`. BadInput for a cursor beyond the end of the log, WrongLog for one of another log.
    """
    start = None if after is None else cursor.decode("e", after, "after")
    end = None if up_to is None else cursor.decode("e", up_to, "upTo")
    head = await checkpoint.head(log)
    same_log.compare(log, start, end)
    if start is not None and max(start.position, start.head or 0) > head:
        raise BadInput(f"after: the cursor {after!r} lies beyond the end of this log", "after")
    last = head if start is None or start.head is None else start.head
    return 0 if start is None else start.position, last if end is None else min(end.position, last)
