"""Answers about rejected messages: what could not be stored, and why."""

from collections.abc import Sequence

from eventscope.resolvers import cursor, same_log
from eventscope.resolvers.page import Count, Page, PageRequest, Stop, page
from eventscope.store.log import Log
from eventscope.store.rejected import messages
from eventscope.store.rejected.messages import StoredRejection


async def rejection_page(log: Log, request: PageRequest) -> Page[StoredRejection]:
    """A page of rejected messages, newest first."""
    below = await same_log.position(log, "r", request.after, "after")
    part = await messages.page(log, limit=request.size + 1, below=below)
    tag = await same_log.tag(log)
    last = part.messages[-1] if part.full else None
    stop = None if last is None else Stop(last.number, cursor.encode("r", last.number, tag=tag), full=True)

    async def total() -> Count:
        n = await messages.count(log)
        return Count(n, n)

    return page(request, part.messages, lambda message: cursor.encode("r", message.number, tag=tag), total, stop)


async def by_number(log: Log, numbers: Sequence[int]) -> list[StoredRejection | None]:
    """The rejected messages with these numbers, in the same order, in one read; None for those that do not exist."""
    rejections = {message.number: message for message in await messages.several(log, numbers)}
    return [rejections.get(number) for number in numbers]
