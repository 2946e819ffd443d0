"""Whether cursors are of the log that is asked: in another one the same place is of something else."""

from functools import partial

from eventscope.errors import WrongLog
from eventscope.resolvers import cursor
from eventscope.resolvers.cursor import Cursor, Kind
from eventscope.store.log import Log
from eventscope.store.state import checkpoint


async def place(log: Log, kind: Kind, text: str | None, field: str) -> int | None:
    """The place that the cursor names, None without a cursor.

    BadInput when it is none, WrongLog when it is of another log.
    """
    if text is None:
        return None
    found = cursor.decode(kind, text, field)
    await check(log, found)
    return found.place


async def check(log: Log, *given: Cursor | None) -> int | None:
    """Raise WrongLog when one of the cursors is of another log. The head of the log, if that had to be read for it.

    Which log it is now is read each time, once for all who ask meanwhile: somebody may have dropped it just before.
    """
    if not any(given) or all(one is None or one.tag is None for one in given):
        return None
    head = await log.turns.ask(partial(checkpoint.head, log))
    compare(log, *given)
    return head


def compare(log: Log, *given: Cursor | None) -> None:
    """Raise WrongLog when one of the cursors is of another log than the one whose checkpoint was last read."""
    for one in given:
        if one is not None and one.tag is not None and one.tag != log.identity.tag:
            own = log.identity.tag or "none yet"
            raise WrongLog(
                f"{one.argument}: the cursor is of the log {one.tag}, and this one is {own}: it was begun anew, or"
                " another one was asked before; begin without a cursor",
                one.argument,
            )


async def tag(log: Log) -> str | None:
    """The tag of the log that its cursors carry; None while it has none."""
    if not log.identity.known:
        await checkpoint.head(log)
    return log.identity.tag
