"""Answers made of aggregates: one head by name, and pages of them."""

from eventscope.resolvers import cursor
from eventscope.resolvers.page import Count, Page, Request, page
from eventscope.store import aggregates as store
from eventscope.store.aggregates import Aggregate, AggregateFilter, Order
from eventscope.store.log import Log

COUNTED = 10_000


async def aggregate(log: Log, type: str, id: str) -> Aggregate | None:
    """The aggregate of that name; None when it never was or nothing of it is kept."""
    return (await named(log, [(type, id)]))[0]


async def named(log: Log, names: list[tuple[str, str]]) -> list[Aggregate | None]:
    """The aggregates of these types and ids, each in its place, by one read."""
    found = {(aggregate.type, aggregate.id): aggregate for aggregate in await store.named(log, names)}
    return [found.get(name) for name in names]


async def aggregates(log: Log, filter: AggregateFilter, asked: Request, order: Order) -> Page[Aggregate]:
    """A page of aggregates, the most recently changed or created first."""
    below = None if asked.after is None else cursor.decode("a", asked.after, "after").place
    found = await store.aggregates(log, filter, limit=asked.size + 1, order=order, below=below)

    async def total() -> Count:
        n = await store.count(log, filter, COUNTED + 1)
        return Count(min(n, COUNTED), n if n <= COUNTED else None)

    return page(asked, found, lambda aggregate: cursor.encode("a", aggregate.place), total)
