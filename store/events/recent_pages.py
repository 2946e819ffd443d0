"""Pages of events, from memory where they are the newest ones: as new as MongoDB's answer, and equal to it.

The head of the log is asked for before each answer, once for all who ask meanwhile; that alone tells whether memory is
up to date. It is one read of one small document, however large the page.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from eventscope.store.events import pages
from eventscope.store.events.pages import EventPage, Fields
from eventscope.store.filters.filter import Filter
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument

HEAVY: Final = frozenset({"data", "metadata", "extensions"})
"""The fields that may be large; the others are little beside what the answer says of them."""


async def page(
    log: Log,
    filter: Filter,
    *,
    limit: int,
    above: int | None = None,
    below: int | None = None,
    newest_first: bool = False,
    fields: Fields = None,
    head: int | None = None,
) -> EventPage:
    """What `read.page` gives; the events may have more fields than were asked for.

    `head` is where the log ends, if that was read since the question was asked.
    """
    if log.tail is not None:

        def look(tail: RecentEvents) -> list[EventDocument] | None:
            return tail.page(filter, limit=limit, above=above, below=below, newest_first=newest_first, now=log.clock())

        found = await _recent(log, log.tail, look, head)
        if found is not None:
            if fields is None or not HEAVY.isdisjoint(fields):
                log.budget.spend(log.tail.size(found))
                await log.budget.enter()
            return EventPage(found)
    return await pages.page(
        log, filter, limit=limit, above=above, below=below, newest_first=newest_first, fields=fields
    )


async def _recent(
    log: Log, tail: RecentEvents, look: Callable[[RecentEvents], list[EventDocument] | None], head: int | None
) -> list[EventDocument] | None:
    found = look(tail)
    if head is not None:
        return found if tail.head is not None and tail.head >= head else None
    if found is None:
        return None
    known = tail.head
    head = await log.turns.ask(partial(checkpoint.head, log))
    if known is not None and head < known:
        tail.restart(None)  # another log has taken the place of the one that this is of
        return None
    if tail.head == known:
        return found if head == known else None
    return look(tail) if tail.head is not None and tail.head >= head else None
