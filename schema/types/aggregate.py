"""The aggregate as clients see it: its current state, and its events."""

from enum import Enum
from typing import Annotated, cast

import strawberry

from eventscope.resolvers.aggregates import OwnEventsRequest
from eventscope.resolvers.page import request
from eventscope.schema.context import Info
from eventscope.schema.types.arguments import After, First
from eventscope.schema.types.connection import Connection
from eventscope.schema.types.event import Event
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.store.aggregates import AggregateSummary as Source


@strawberry.enum(description="The order in which events are listed.")
class Order(Enum):
    NEWEST_FIRST = strawberry.enum_value("NEWEST_FIRST", description="In reverse log order.")
    OLDEST_FIRST = strawberry.enum_value("OLDEST_FIRST", description="In log order.")


@strawberry.enum(description="The order in which aggregates are listed.")
class AggregateOrder(Enum):
    RECENTLY_CHANGED = strawberry.enum_value("changed", description="The most recently changed aggregate first.")
    RECENTLY_CREATED = strawberry.enum_value("created", description="The most recently created aggregate first.")


@strawberry.type(description="Something that events happen to, in its state after the latest event.")
class Aggregate(Node):
    id: strawberry.ID = strawberry.field(
        description="Built from its type and its `aggregateId`: `aggregate:user/42`. All other arguments that "
        "identify an aggregate take the `aggregateId` alone."
    )
    aggregate_id: strawberry.ID = strawberry.field(description="The id its events carry, unique within its type.")
    type: str = strawberry.field(description="The kind of thing it is, such as `user`.")
    version: int = strawberry.field(
        description="How many events it has ever had, which is the version of the latest one."
    )
    event_count: BigInt = strawberry.field(description="How many of its events are still kept.")
    first_event_at: Moment = strawberry.field(description="The timestamp of the first event that is still kept.")
    last_event_at: Moment = strawberry.field(description="The timestamp of the latest event.")
    last_event_type: str = strawberry.field(description="The type of the latest event.")
    deleted: bool = strawberry.field(
        description="Whether an event of exactly the type `<type>.deleted`, such as `user.deleted`, has deleted it, "
        "and none of the types `<type>.created`, `<type>.renamed` and `<type>.restored` has brought it back since."
    )

    source = Source

    @strawberry.field(description="Its events.", graphql_type=Connection[Event])
    async def events(
        self,
        info: Info,
        order: Annotated[Order | None, strawberry.argument(description="The order of the list.")] = Order.OLDEST_FIRST,
        first: First = None,
        after: After = None,
    ) -> object:
        page = request(first, after)
        info.context.charge(page.size)
        own = OwnEventsRequest(cast("Source", self), page, order is Order.NEWEST_FIRST, info.document_fields())
        return await info.context.own_loader.load(own)
