"""Answers made of aggregates: one head by name, and pages of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eventscope.resolvers import cursor, events, own
from eventscope.resolvers.page import Count, Page, Request, page
from eventscope.store import aggregates as store
from eventscope.store.aggregates import AggregateCriteria, AggregateSummary, Order
from eventscope.store.events import links
from eventscope.store.events.pages import Fields
from eventscope.store.filters.filter import All, Among
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument

COUNTED = 10_000


async def aggregate(log: Log, type: str, id: str) -> AggregateSummary | None:
    """The aggregate of that name; None when it never was or nothing of it is kept."""
    return (await by_name(log, [(type, id)]))[0]


async def by_name(log: Log, names: list[tuple[str, str]]) -> list[AggregateSummary | None]:
    """The aggregates of these types and ids, each in its place, by one read."""
    found = {(aggregate.type, aggregate.id): aggregate for aggregate in await store.by_name(log, names)}
    return [found.get(name) for name in names]


@dataclass(frozen=True, slots=True)
class Own:
    """A page that is asked of an aggregate's own events, with these fields of their documents or all."""

    aggregate: AggregateSummary
    asked: Request
    newest_first: bool
    fields: Fields


async def own_events(log: Log, asked: Sequence[Own]) -> list[Page[EventDocument]]:
    """The pages, each in its place: one read for all aggregates of a type of which the same is asked."""
    groups: dict[tuple[str, Request, bool], list[Own]] = {}
    for one in asked:
        groups.setdefault((one.aggregate.type, one.asked, one.newest_first), []).append(one)
    found: dict[Own, Page[EventDocument]] = {}
    for owns in groups.values():
        found |= await _own_events(log, owns)
    return [found[one] for one in asked]


async def _own_events(log: Log, owns: Sequence[Own]) -> dict[Own, Page[EventDocument]]:
    first = owns[0]
    type, asked, newest_first = first.aggregate.type, first.asked, first.newest_first
    if len(owns) == 1:
        filter = All((Among("aggregateType", (type,)), Among("aggregateId", (first.aggregate.id,))))
        return {first: await events.events(log, filter, asked, newest_first=newest_first, fields=first.fields)}
    place = await own.place(log, "e", asked.after, "after")
    rows = await links.by_link(
        log,
        "aggregateId",
        [one.aggregate.id for one in owns],
        limit=asked.size + 1,
        above=None if newest_first else place,
        below=place if newest_first else None,
        newest_first=newest_first,
        aggregate_type=type,
    )
    given = cursor.of_events(await own.tag(log))
    return {one: page(asked, rows[one.aggregate.id], given, _counting(one.aggregate)) for one in owns}


def _counting(aggregate: AggregateSummary) -> Callable[[], Awaitable[Count]]:
    async def total() -> Count:
        return Count(aggregate.event_count, aggregate.event_count)

    return total


async def aggregates(log: Log, filter: AggregateCriteria, asked: Request, order: Order) -> Page[AggregateSummary]:
    """A page of aggregates, the most recently changed or created first."""
    below = await own.place(log, "a", asked.after, "after")
    found = await store.aggregates(log, filter, limit=asked.size + 1, order=order, below=below)

    async def total() -> Count:
        n = await store.count(log, filter, COUNTED + 1)
        return Count(min(n, COUNTED), n if n <= COUNTED else None)

    tag = await own.tag(log)
    return page(asked, found, lambda aggregate: cursor.encode("a", aggregate.place, tag=tag), total)
