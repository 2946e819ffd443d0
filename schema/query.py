"""All questions that can be asked."""

import strawberry

from eventscope.resolvers import aggregates as aggregate_resolver
from eventscope.resolvers import events as event_resolver
from eventscope.resolvers import rejected as rejected_resolver
from eventscope.resolvers import stats as stats_resolver
from eventscope.resolvers import status as status_resolver
from eventscope.resolvers.page import request
from eventscope.schema.aggregate import Aggregate, AggregateOrder, Order
from eventscope.schema.connection import Connection
from eventscope.schema.context import Info
from eventscope.schema.event import Event
from eventscope.schema.filter import AggregateFilter, EventFilter, StatsFilter, aggregate_filter, event_filter, scope
from eventscope.schema.log_status import LogStatus, log_status
from eventscope.schema.rejected import RejectedEvent
from eventscope.schema.stats import EventStats
from eventscope.store.aggregates import Order as StoreOrder


@strawberry.type(description="Questions about what has happened.")
class Query:
    @strawberry.field(description="One event, by its id.", graphql_type=Event | None)
    async def event(self, info: Info, id: strawberry.ID) -> object:
        return await event_resolver.event(info.context.log, id)

    @strawberry.field(
        description="Events that match, in pages of up to 1000, forwards by `first` and `after` or backwards by `last` "
        "and `before`.",
        graphql_type=Connection[Event],
    )
    async def events(
        self,
        info: Info,
        filter: EventFilter | None = None,
        order: Order | None = Order.NEWEST_FIRST,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> object:
        asked = request(first, after, last, before)
        info.context.spend(asked.size)
        newest_first = order is not Order.OLDEST_FIRST
        return await event_resolver.events(info.context.log, event_filter(filter), asked, newest_first=newest_first)

    @strawberry.field(
        description="Events that match in the order of the log, up to where it ended when the first page was read "
        "(or up to the cursor `upTo`): the same, whatever arrives meanwhile.",
        graphql_type=Connection[Event],
    )
    async def replay(
        self,
        info: Info,
        filter: EventFilter | None = None,
        first: int | None = None,
        after: str | None = None,
        up_to: str | None = None,
    ) -> object:
        asked = request(first, after)
        info.context.spend(asked.size)
        return await event_resolver.replay(info.context.log, event_filter(filter), asked, up_to)

    @strawberry.field(
        description="One aggregate; null if it never was, or nothing of it is kept.", graphql_type=Aggregate | None
    )
    async def aggregate(self, info: Info, type: str, id: strawberry.ID) -> object:
        return await aggregate_resolver.aggregate(info.context.log, type, id)

    @strawberry.field(description="Aggregates that match.", graphql_type=Connection[Aggregate])
    async def aggregates(
        self,
        info: Info,
        filter: AggregateFilter | None = None,
        order: AggregateOrder | None = AggregateOrder.RECENTLY_CHANGED,
        first: int | None = None,
        after: str | None = None,
    ) -> object:
        asked = request(first, after)
        info.context.spend(asked.size)
        chosen = aggregate_filter(filter)
        by: StoreOrder = "first.position" if order is AggregateOrder.RECENTLY_CREATED else "last.position"
        return await aggregate_resolver.aggregates(info.context.log, chosen, asked, by)

    @strawberry.field(description="Counts of the events that match.", graphql_type=EventStats)
    async def stats(self, info: Info, filter: StatsFilter | None = None) -> object:
        return await stats_resolver.stats(info.context.log, scope(filter))

    @strawberry.field(
        description="Messages that could not be taken, the last one first.", graphql_type=Connection[RejectedEvent]
    )
    async def rejected_events(self, info: Info, first: int | None = None, after: str | None = None) -> object:
        asked = request(first, after)
        info.context.spend(asked.size)
        return await rejected_resolver.rejected(info.context.log, asked)

    @strawberry.field(description="How the log is doing.")
    async def log(self, info: Info) -> LogStatus:
        return log_status(await status_resolver.status(info.context.log), info)
