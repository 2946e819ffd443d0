"""Answers about aggregates: one by name, pages of them, and pages of their events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eventscope.errors import BadInput, TooComplex
from eventscope.resolvers import cursor, events, same_log
from eventscope.resolvers.page import Count, Page, PageRequest, page
from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria, AggregateSummary, Order
from eventscope.store.events import links
from eventscope.store.events.pages import Fields
from eventscope.store.filters.filter import All, Among
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument


async def aggregate(log: Log, type: str, id: str) -> AggregateSummary | None:
    """The aggregate with that name; None if it never existed, or all of its events have expired."""
    return (await by_name(log, [(type, id)]))[0]


async def by_name(log: Log, names: list[tuple[str, str]]) -> list[AggregateSummary | None]:
    """The aggregates with these types and ids, in the same order, in one read; None for each that does not exist."""
    by_key = {(aggregate.type, aggregate.id): aggregate for aggregate in await aggregates.by_name(log, names)}
    return [by_key.get(name) for name in names]


@dataclass(frozen=True, slots=True)
class OwnEventsRequest:
    """A request for a page of an aggregate's own events, with these fields of their documents, or all fields."""

    aggregate: AggregateSummary
    page: PageRequest
    newest_first: bool
    fields: Fields


async def own_events(
    log: Log, requests: Sequence[OwnEventsRequest]
) -> list[Page[EventDocument] | BadInput | TooComplex]:
    """The pages, in the same order: one read for all requests that differ only in the aggregate's id.

    In place of a page that is refused is the error, so that the other pages are not.
    """
    groups: dict[tuple[str, PageRequest, bool], list[OwnEventsRequest]] = {}
    for one in requests:
        groups.setdefault((one.aggregate.type, one.page, one.newest_first), []).append(one)
    pages: dict[OwnEventsRequest, Page[EventDocument] | BadInput | TooComplex] = {}
    for same_requests in groups.values():
        try:
            pages |= await _own_events(log, same_requests)
        except (BadInput, TooComplex) as error:
            pages |= dict.fromkeys(same_requests, error)
    return [pages[one] for one in requests]


async def _own_events(log: Log, requests: Sequence[OwnEventsRequest]) -> dict[OwnEventsRequest, Page[EventDocument]]:
    first = requests[0]
    type, request, newest_first = first.aggregate.type, first.page, first.newest_first
    if len(requests) == 1:
        filter = All((Among("aggregateType", (type,)), Among("aggregateId", (first.aggregate.id,))))
        return {first: await events.events(log, filter, request, newest_first=newest_first, fields=first.fields)}
    position = await same_log.position(log, "e", request.after, "after")
    rows = await links.by_link(
        log,
        "aggregateId",
        [one.aggregate.id for one in requests],
        limit=request.size + 1,
        above=None if newest_first else position,
        below=position if newest_first else None,
        newest_first=newest_first,
        aggregate_type=type,
    )
    cursor_of = cursor.of_events(await same_log.tag(log))
    return {one: page(request, rows[one.aggregate.id], cursor_of, _known_count(one.aggregate)) for one in requests}


def _known_count(aggregate: AggregateSummary) -> Callable[[], Awaitable[Count]]:
    async def total() -> Count:
        return Count(aggregate.event_count, aggregate.event_count)

    return total


async def aggregate_page(
    log: Log, filter: AggregateCriteria, request: PageRequest, order: Order
) -> Page[AggregateSummary]:
    """A page of aggregates, the most recently changed or created first."""
    below = await same_log.position(log, "a", request.after, "after")
    summaries = await aggregates.aggregates(log, filter, limit=request.size + 1, order=order, below=below)

    async def total() -> Count:
        most = log.search.most_counted
        n = await aggregates.count(log, filter, most + 1)
        return Count(min(n, most), n if n <= most else None)

    tag = await same_log.tag(log)
    return page(request, summaries, lambda aggregate: cursor.encode("a", aggregate.position, tag=tag), total)
