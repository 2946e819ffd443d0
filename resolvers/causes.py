"""Answers about events that belong together: effects and conversations, for many events in one read."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from eventscope.errors import TooComplex
from eventscope.resolvers import cursor, same_log
from eventscope.resolvers.page import Count, Page, PageRequest, page
from eventscope.store.events import links
from eventscope.store.events.links import Link
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """A request for at most `limit` events with that value in the field `link`, after the position `above`."""

    link: Link
    value: str
    limit: int
    above: int | None


Load = Callable[[LinkRequest], Awaitable[list[EventDocument]]]
Counting = Callable[[tuple[Link, str]], Awaitable[int]]


async def linked_events(log: Log, requests: Sequence[LinkRequest]) -> list[list[EventDocument] | TooComplex]:
    """The events for each request, in the same order: one read for all requests that differ only in the value.

    In place of events that are too large together is the error, so that other reads do not fail.
    """
    groups: dict[tuple[Link, int, int | None], list[str]] = {}
    for request in requests:
        groups.setdefault((request.link, request.limit, request.above), []).append(request.value)
    events_by_request: dict[LinkRequest, list[EventDocument] | TooComplex] = {}
    for (link, limit, above), values in groups.items():
        rows: Mapping[str, list[EventDocument] | TooComplex]
        try:
            rows = await links.by_link(log, link, values, limit=limit, above=above)
        except TooComplex as error:
            rows = dict.fromkeys(values, error)
        events_by_request |= {LinkRequest(link, value, limit, above): events for value, events in rows.items()}
    return [events_by_request[request] for request in requests]


async def counts(log: Log, pairs: Sequence[tuple[Link, str]]) -> list[int]:
    """How many events have each of these values in the field, in the same order, counted up to a limit."""
    n_by_pair: dict[tuple[Link, str], int] = {}
    for link in dict.fromkeys(link for link, _ in pairs):
        rows = await links.counts(
            log, link, [value for one, value in pairs if one == link], log.search.most_counted + 2
        )
        n_by_pair |= {(link, value): n for value, n in rows.items()}
    return [n_by_pair[one] for one in pairs]


async def effects(
    log: Log, event: EventDocument, request: PageRequest, load: Load, count: Counting
) -> Page[EventDocument]:
    """A page of the events that this one caused, in log order."""
    id = event["messageId"]
    above = await same_log.position(log, "e", request.after, "after")
    events = await load(LinkRequest("causationId", id, request.size + 1, above))
    return page(
        request,
        events,
        cursor.of_events(await same_log.tag(log)),
        lambda: _total(log, count, ("causationId", id), others=0),
    )


async def related(
    log: Log, event: EventDocument, request: PageRequest, load: Load, count: Counting
) -> Page[EventDocument]:
    """A page of the other events of its conversation, in log order."""
    id = event.get("correlationId")
    if id is None:
        return page(request, [], cursor.of_events(None), _none)
    # Two more than the page: one shows whether there are more, and the event itself is left out later. A read that
    # does not exclude it serves all events of a conversation.
    above = await same_log.position(log, "e", request.after, "after")
    events = await load(LinkRequest("correlationId", id, request.size + 2, above))
    others = without(event, events)
    return page(
        request,
        others,
        cursor.of_events(await same_log.tag(log)),
        lambda: _total(log, count, ("correlationId", id), others=1),
    )


def without(event: EventDocument, events: Iterable[EventDocument]) -> list[EventDocument]:
    """The events except this one."""
    return [one for one in events if one["_id"] != event["_id"]]


async def _total(log: Log, count: Counting, key: tuple[Link, str], *, others: int) -> Count:
    n = max(await count(key) - others, 0)
    most = log.search.most_counted
    return Count(min(n, most), n if n <= most else None)


async def _none() -> Count:
    return Count(0, 0)
