"""The root fields of queries."""

from typing import Annotated

import strawberry

from eventscope.resolvers import aggregates as aggregate_resolver
from eventscope.resolvers import catalogue as catalogue_resolver
from eventscope.resolvers import events as event_resolver
from eventscope.resolvers import rejected as rejected_resolver
from eventscope.resolvers import stats as stats_resolver
from eventscope.resolvers import status as status_resolver
from eventscope.resolvers.page import request
from eventscope.schema import nodes
from eventscope.schema.context import Info
from eventscope.schema.ids import message_id
from eventscope.schema.types.aggregate import Aggregate, AggregateOrder, Order
from eventscope.schema.types.arguments import (
    After,
    AfterTraced,
    AggregateId,
    AggregateType,
    AnyId,
    AnyIds,
    Before,
    Conversation,
    EventId,
    First,
    Last,
    MostTraced,
    Which,
    WhichAggregates,
    WhichCount,
)
from eventscope.schema.types.connection import Connection
from eventscope.schema.types.event import Event
from eventscope.schema.types.event_type import EventType
from eventscope.schema.types.filter import aggregate_filter, event_filter, scope, texts
from eventscope.schema.types.log_status import LogStatus, log_status
from eventscope.schema.types.node import Node
from eventscope.schema.types.rejected import RejectedEvent
from eventscope.schema.types.stats import EventStats
from eventscope.schema.types.trace import Trace
from eventscope.store.aggregates import Order as StoreOrder


@strawberry.type(description="Queries about what has happened.")
class Query:
    @strawberry.field(description="One event, by its id.", graphql_type=Event | None)
    async def event(self, info: Info, id: EventId) -> object:
        return await event_resolver.event(info.context.log, message_id(id), info.document_fields())

    @strawberry.field(
        description="The object with this id; null if there is none, or if it has expired.",
        graphql_type=Node | None,
    )
    async def node(self, info: Info, id: AnyId) -> object:
        return await nodes.node(info, id)

    @strawberry.field(
        description="The objects with these ids, in the same order, with null where there is none: up to 1000.",
        graphql_type=list[Node | None],
    )
    async def nodes(self, info: Info, ids: AnyIds) -> object:
        return await nodes.nodes(info, ids)

    @strawberry.field(
        description="Events that match, in pages of up to 1000: forwards with `first` and `after`, or "
        "backwards with `last` and `before`.",
        graphql_type=Connection[Event],
    )
    async def events(
        self,
        info: Info,
        filter: Which = None,
        order: Annotated[Order | None, strawberry.argument(description="The order of the list.")] = Order.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> object:
        page = request(first, after, last, before)
        info.context.charge(page.size)
        newest_first = order is not Order.OLDEST_FIRST
        return await event_resolver.events(
            info.context.log, event_filter(filter), page, newest_first=newest_first, fields=info.document_fields()
        )

    @strawberry.field(
        description="Events that match, in log order, up to the end of the log when the first page was read "
        "(or up to the cursor `upTo`). Events that arrive later do not change the result.",
        graphql_type=Connection[Event],
    )
    async def replay(
        self,
        info: Info,
        filter: Which = None,
        first: First = None,
        after: After = None,
        up_to: Annotated[
            str | None,
            strawberry.argument(description="End at this cursor; ignored if it lies beyond the end of the log."),
        ] = None,
    ) -> object:
        page = request(first, after)
        info.context.charge(page.size)
        return await event_resolver.replay(info.context.log, event_filter(filter), page, up_to, info.document_fields())

    @strawberry.field(
        description="One aggregate; null if it never existed, or if none of its events are kept.",
        graphql_type=Aggregate | None,
    )
    async def aggregate(self, info: Info, type: AggregateType, id: AggregateId) -> object:
        return await aggregate_resolver.aggregate(info.context.log, type, id)

    @strawberry.field(description="Aggregates that match.", graphql_type=Connection[Aggregate])
    async def aggregates(
        self,
        info: Info,
        filter: WhichAggregates = None,
        order: Annotated[
            AggregateOrder | None, strawberry.argument(description="The order of the list.")
        ] = AggregateOrder.RECENTLY_CHANGED,
        first: First = None,
        after: After = None,
    ) -> object:
        page = request(first, after)
        info.context.charge(page.size)
        by: StoreOrder = "first.position" if order is AggregateOrder.RECENTLY_CREATED else "last.position"
        return await aggregate_resolver.aggregate_page(info.context.log, aggregate_filter(filter), page, by)

    @strawberry.field(description="Counts of the events that match.", graphql_type=EventStats)
    async def stats(self, info: Info, filter: WhichCount = None) -> object:
        return await stats_resolver.stats(info.context.log, scope(filter))

    @strawberry.field(
        description="Event types, or those that start with the prefix, in alphabetical order. Without "
        "`first`, more than 1000 are an error; with `first` and `after` they come in pages. A "
        "page with fewer than `first` is the last one.",
        graphql_type=list[EventType],
    )
    async def event_types(
        self,
        info: Info,
        prefix: Annotated[
            str | None, strawberry.argument(description="The prefix of the type names, such as `user.`.")
        ] = None,
        first: Annotated[
            int | None, strawberry.argument(description="The maximum number of types, up to 1000.")
        ] = None,
        after: Annotated[
            str | None, strawberry.argument(description="Start after this type: pass the last one you received.")
        ] = None,
    ) -> object:
        for name, text in (("prefix", prefix), ("after", after)):
            if text is not None:
                texts(name, [text])
        found = await catalogue_resolver.event_types(info.context.log, prefix, first, after)
        info.context.charge(len(found))
        return found

    @strawberry.field(
        description="All events with one correlation id, as a tree of causes: up to 10000 events, the first "
        "in log order; null if there are none.",
        graphql_type=Trace | None,
    )
    async def trace(
        self, info: Info, correlation_id: Conversation, first: MostTraced = None, after: AfterTraced = None
    ) -> object:
        return await info.context.trace(texts("correlationId", [correlation_id])[0], first, after)

    @strawberry.field(description="Rejected messages, latest first.", graphql_type=Connection[RejectedEvent])
    async def rejected_events(self, info: Info, first: First = None, after: After = None) -> object:
        page = request(first, after)
        info.context.charge(page.size)
        return await rejected_resolver.rejection_page(info.context.log, page)

    @strawberry.field(description="The state of the log.")
    async def log(self, info: Info) -> LogStatus:
        return log_status(await status_resolver.status(info.context.log), info)
