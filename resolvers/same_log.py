"""Whether cursors belong to this log: in another log, the same position is a different event."""

from functools import partial

from eventscope.errors import WrongLog
from eventscope.resolvers import cursor
from eventscope.resolvers.cursor import Cursor, Kind
from eventscope.store.log import Log
from eventscope.store.state import checkpoint


async def position(log: Log, kind: Kind, text: str | None, field: str) -> int | None:
    """The position of the cursor; None without a cursor.

    BadInput when the text is not a cursor, WrongLog when it belongs to another log.
    """
    if text is None:
        return None
    start = cursor.decode(kind, text, field)
    await check(log, start)
    return start.position


async def check(log: Log, *cursors: Cursor | None) -> int | None:
    """Raise WrongLog when a cursor belongs to another log. Returns the head of the log, if it had to be read.

    The log's identity is read each time (concurrent calls share a read): the log may just have been dropped.
    """
    if not any(cursors) or all(one is None or one.tag is None for one in cursors):
        return None
    head = await log.head_reads.join(partial(checkpoint.head, log))
    compare(log, *cursors)
    return head


def compare(log: Log, *cursors: Cursor | None) -> None:
    """Raise WrongLog when a cursor belongs to another log than the one whose checkpoint was last read."""
    for one in cursors:
        if one is not None and one.tag is not None and one.tag != log.identity.tag:
            tag_of_log = log.identity.tag or "none yet"
            raise WrongLog(
                f"{one.argument}: the cursor belongs to the log {one.tag}, but this is {tag_of_log} (recreated, or"
                " another server): discard it; to miss nothing, read from the start (`from: BEGINNING`, in Python"
                ' start="BEGINNING")',
                one.argument,
            )


async def tag(log: Log) -> str | None:
    """The tag in the cursors of this log; None while it has none."""
    if not log.identity.is_known:
        await checkpoint.head(log)
    return log.identity.tag
