"""Answers made of events: one by id, pages in either direction, and replays of a log that stands still."""

from typing import Final

from eventscope.errors import BadInput
from eventscope.resolvers import cursor, own
from eventscope.resolvers.cursor import Cursor
from eventscope.resolvers.page import Count, Page, Request, Stop, page
from eventscope.store.events import pages, recent_pages
from eventscope.store.events.pages import EventPage, Fields
from eventscope.store.filters.filter import All, Among, Between, Filter, Ids, TypePatterns, conditions
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts
from eventscope.store.values.documents import EventDocument

COUNTED: Final = 10_000  # how far events are counted one by one


async def event(log: Log, id: str, fields: Fields = None) -> EventDocument | None:
    """The event with that message id, with these fields of its document or all."""
    return await pages.event(log, id, fields)


async def by_id(log: Log, ids: list[str]) -> list[EventDocument | None]:
    """The events with these message ids, each in its place, by one read."""
    found = {event["messageId"]: event for event in await pages.events(log, Ids(tuple(ids)), limit=len(ids))}
    return [found.get(id) for id in ids]


async def events(
    log: Log, filter: Filter, asked: Request, *, newest_first: bool, fields: Fields = None
) -> Page[EventDocument]:
    """A page of the events that the filter means, with these fields of their documents or all."""
    after, before = _cursor(asked.after, "after"), _cursor(asked.before, "before")
    # most pages are first ones, of which there is nothing to check
    head = None if after is None and before is None else await own.check(log, after, before)
    low, high = (before, after) if newest_first else (after, before)
    backward = newest_first != asked.backward
    found = await recent_pages.page(
        log,
        filter,
        limit=asked.size + 1,
        above=None if low is None else low.place,
        below=None if high is None else high.place,
        newest_first=backward,
        fields=fields,
        head=head,
    )
    tag = log.identity.tag if log.identity.known else await own.tag(log)
    return page(asked, found.events, cursor.of_events(tag), lambda: count(log, filter), _stop(found, tag))


async def replay(
    log: Log, filter: Filter, asked: Request, up_to: str | None, fields: Fields = None
) -> Page[EventDocument]:
    """A page of the events in the order of the log, up to the head as it was at the first page.

    So the pages of a replay are the same whatever arrives while it is read. BadInput for a cursor of a replay that went
    beyond the end of the log.
    """
    start, end = _cursor(asked.after, "after"), _cursor(up_to, "upTo")
    known = await own.check(log, start, end)
    head = await checkpoint.head(log) if known is None else known
    if start is not None and start.head is not None:
        if start.head > head:
            raise BadInput(f"after: the cursor {asked.after!r} lies beyond the end of this log", "after")
        head = start.head
    if end is not None:
        head = min(head, end.place)
    pinned = All((filter, Between("position", None, head)))
    above = None if start is None else start.place
    found = await pages.page(log, pinned, limit=asked.size + 1, above=above, fields=fields)
    tag = await own.tag(log)
    return page(
        asked,
        found.events,
        lambda event: cursor.encode("e", event["_id"], head, tag=tag),
        lambda: count(log, pinned),
        _stop(found, tag, head),
    )


async def count(log: Log, filter: Filter) -> Count:
    """How many events the filter means: exactly from the rollups if they can tell, else counted up to a bound."""
    scope = _scope(filter)
    if scope is not None:
        n = await counts.total(log, scope)
        return Count(n, n)
    counted = await pages.count_in_time(log, filter, COUNTED + 1)
    all = counted.n <= COUNTED and not counted.is_partial
    return Count(min(counted.n, COUNTED), counted.n if all else None)


async def total(log: Log, filter: Filter) -> int:
    """The same for callers that need the exact number; QuestionTimedOut if it cannot be found in time."""
    scope = _scope(filter)
    return await pages.count(log, filter) if scope is None else await counts.total(log, scope)


async def start(log: Log, after: str | None, *, from_beginning: bool) -> int:
    """The position after which a subscription starts.

    BadInput for a cursor from beyond the end of the log, WrongLog for one of another log.
    """
    given = _cursor(after, "after")
    head = (await checkpoint.read(log)).head
    if given is None:
        return 0 if from_beginning else head
    own.compare(log, given)
    if given.place > head:
        raise BadInput(f"after: the cursor {after!r} lies beyond the end of this log", "after")
    return given.place


def _cursor(text: str | None, argument: str) -> Cursor | None:
    return None if text is None else cursor.decode("e", text, argument)


def _stop(found: EventPage, tag: str | None, head: int | None = None) -> Stop | None:
    if found.stopped_at is None:
        return None
    return Stop(found.stopped_at, cursor.encode("e", found.stopped_at, head, tag=tag), found.full)


def _scope(filter: Filter) -> counts.Scope | None:
    """The filter as rollups know it, if it asks for nothing but types, aggregate types and times, once each."""
    types: TypePatterns | None = None
    aggregate_types: tuple[str, ...] | None = None
    low: int | None = None
    high: int | None = None
    seen: set[str] = set()
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
        if kind in seen:
            return None
        seen.add(kind)
    return counts.Scope(types, aggregate_types, low, high)
