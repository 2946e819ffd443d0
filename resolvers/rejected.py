"""Answers made of rejected messages: what came in and could not be taken, and why."""

from collections.abc import Sequence

from eventscope.resolvers import cursor, own
from eventscope.resolvers.page import Count, Page, Request, Stop, page
from eventscope.store.log import Log
from eventscope.store.rejected import messages as store
from eventscope.store.rejected.messages import StoredRejection


async def rejected(log: Log, asked: Request) -> Page[StoredRejection]:
    """A page of rejected messages, the last one first."""
    below = await own.place(log, "r", asked.after, "after")
    found = await store.page(log, limit=asked.size + 1, below=below)
    tag = await own.tag(log)
    last = found.messages[-1] if found.full else None
    stop = None if last is None else Stop(last.number, cursor.encode("r", last.number, tag=tag), full=True)

    async def total() -> Count:
        n = await store.count(log)
        return Count(n, n)

    return page(asked, found.messages, lambda message: cursor.encode("r", message.number, tag=tag), total, stop)


async def by_number(log: Log, numbers: Sequence[int]) -> list[StoredRejection | None]:
    """The rejected messages with these numbers, each in its place, by one read."""
    found = {message.number: message for message in await store.several(log, numbers)}
    return [found.get(number) for number in numbers]
