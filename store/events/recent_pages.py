"""Pages of events, from memory if they are recent: as current as MongoDB's answer, and equal to it.

Before each answer the head of the log is read, with one read shared by concurrent requests. It shows whether memory is
up to date, and is a read of one small document, however large the page.
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
"""The fields that may be large; the others take less than the answer itself."""


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
    """What `pages.page` returns; the events may have more fields than `fields`.

    `head` is the end of the log, if the caller has read it since its request began.
    """
    if log.recent is not None:

        def lookup(recent: RecentEvents) -> list[EventDocument] | None:
            return recent.page(
                filter, limit=limit, above=above, below=below, newest_first=newest_first, now=log.clock()
            )

        events = await _recent(log, log.recent, lookup, head)
        if events is not None:
            if fields is None or not HEAVY.isdisjoint(fields):
                log.budget.spend(log.recent.size(events))
                await log.budget.enter()
            return EventPage(events)
    return await pages.page(
        log, filter, limit=limit, above=above, below=below, newest_first=newest_first, fields=fields
    )


async def _recent(
    log: Log, recent: RecentEvents, lookup: Callable[[RecentEvents], list[EventDocument] | None], head: int | None
) -> list[EventDocument] | None:
    events = lookup(recent)
    if head is not None:
        return events if recent.head is not None and recent.head >= head else None
    if events is None:
        return None
    head_before = recent.head
    head = await log.head_reads.join(partial(checkpoint.head, log))
    if head_before is not None and head < head_before:
        recent.restart(None)  # another log has replaced the one that memory holds
        return None
    if recent.head == head_before:
        return events if head == head_before else None
    return lookup(recent) if recent.head is not None and recent.head >= head else None
