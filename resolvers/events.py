"""Answers about events: one by id, pages in either direction, replays up to a pinned head, and counts."""

from eventscope.errors import BadInput
from eventscope.resolvers import cursor, same_log
from eventscope.resolvers.cursor import Cursor
from eventscope.resolvers.page import Count, Page, PageRequest, Stop, page
from eventscope.store.events import pages, recent_pages
from eventscope.store.events.pages import EventPage, Fields
from eventscope.store.filters.filter import All, Among, Between, Filter, Ids, TypePatterns, conditions
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts
from eventscope.store.values.documents import EventDocument


async def event(log: Log, id: str, fields: Fields = None) -> EventDocument | None:
    """The event with that message id, with these fields of its document, or all."""
    return await pages.event(log, id, fields)


async def by_id(log: Log, ids: list[str]) -> list[EventDocument | None]:
    """The events with these message ids, in the same order, in one read; None for those that are not in the log."""
    events_by_id = {event["messageId"]: event for event in await pages.events(log, Ids(tuple(ids)), limit=len(ids))}
    return [events_by_id.get(id) for id in ids]


async def events(
    log: Log, filter: Filter, request: PageRequest, *, newest_first: bool, fields: Fields = None
) -> Page[EventDocument]:
    """A page of the events that match the filter, with these fields of their documents, or all."""
    after, before = _cursor(request.after, "after"), _cursor(request.before, "before")
    # most requests are for first pages, without cursors to check
    head = None if after is None and before is None else await same_log.check(log, after, before)
    low, high = (before, after) if newest_first else (after, before)
    backward = newest_first != request.backward
    result = await recent_pages.page(
        log,
        filter,
        limit=request.size + 1,
        above=None if low is None else low.position,
        below=None if high is None else high.position,
        newest_first=backward,
        fields=fields,
        head=head,
    )
    tag = log.identity.tag if log.identity.is_known else await same_log.tag(log)
    return page(request, result.events, cursor.of_events(tag), lambda: count(log, filter), _stop(result, tag))


async def replay(
    log: Log, filter: Filter, request: PageRequest, up_to: str | None, fields: Fields = None
) -> Page[EventDocument]:
    """A page of the events in log order, up to the head of the log when the first page was read.

    So the pages of a replay stay the same, whatever arrives while they are read. BadInput for a cursor of a replay that
    ended beyond the end of the log.
    """
    start, end = _cursor(request.after, "after"), _cursor(up_to, "upTo")
    checked_head = await same_log.check(log, start, end)
    head = await checkpoint.head(log) if checked_head is None else checked_head
    if start is not None and start.head is not None:
        if start.head > head:
            raise BadInput(f"after: the cursor {request.after!r} lies beyond the end of this log", "after")
        head = start.head
    if end is not None:
        head = min(head, end.position)
    pinned_filter = All((filter, Between("position", None, head)))
    above = None if start is None else start.position
    result = await pages.page(log, pinned_filter, limit=request.size + 1, above=above, fields=fields)
    tag = await same_log.tag(log)
    return page(
        request,
        result.events,
        lambda event: cursor.encode("e", event["_id"], head, tag=tag),
        lambda: count(log, pinned_filter),
        _stop(result, tag, head),
    )


async def count(log: Log, filter: Filter) -> Count:
    """How many events match the filter: exact if the rollups have the number, else counted up to a limit."""
    scope = _scope(filter)
    if scope is not None:
        n = await counts.total(log, scope)
        return Count(n, n)
    most = log.search.most_counted
    result = await pages.count_in_time(log, filter, most + 1)
    all = result.n <= most and not result.is_partial
    return Count(min(result.n, most), result.n if all else None)


async def total(log: Log, filter: Filter) -> int:
    """The exact number; QuestionTimedOut if it takes too long to count."""
    scope = _scope(filter)
    return await pages.count(log, filter) if scope is None else await counts.total(log, scope)


async def start(log: Log, after: str | None, *, from_beginning: bool) -> int:
    """The position after which a subscription starts.

    BadInput for a cursor beyond the end of the log, WrongLog for one of another log.
    """
    start_cursor = _cursor(after, "after")
    head = (await checkpoint.read(log)).head
    if start_cursor is None:
        return 0 if from_beginning else head
    same_log.compare(log, start_cursor)
    if start_cursor.position > head:
        raise BadInput(f"after: the cursor {after!r} lies beyond the end of this log", "after")
    return start_cursor.position


def _cursor(text: str | None, argument: str) -> Cursor | None:
    return None if text is None else cursor.decode("e", text, argument)


def _stop(page: EventPage, tag: str | None, head: int | None = None) -> Stop | None:
    if page.stopped_at is None:
        return None
    return Stop(page.stopped_at, cursor.encode("e", page.stopped_at, head, tag=tag), page.full)


def _scope(filter: Filter) -> counts.Scope | None:
    """The filter as a scope of rollups; None unless it has only types, aggregate types and times, each at most once."""
    types: TypePatterns | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    kinds: set[str] = set()
    for leaf in conditions(filter):
        match leaf:
            case TypePatterns():
                types, kind = leaf, "type"
            case Among("aggregateType", values):
                aggregate_types, kind = values, "aggregateType"
            case Between("timestamp", low, high):
                kind = "timestamp"
            case _:
                return None
        if kind in kinds:
            return None
        kinds.add(kind)
    return counts.Scope(types, aggregate_types, low, high)
