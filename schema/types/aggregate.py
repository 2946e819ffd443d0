"""The aggregate as clients see it: its head, and its events."""

from enum import Enum
from typing import Annotated, cast

import strawberry

from eventscope.resolvers.aggregates import Own
from eventscope.resolvers.page import request
from eventscope.schema.context import Info
from eventscope.schema.types import selection
from eventscope.schema.types.arguments import After, First
from eventscope.schema.types.connection import Connection
from eventscope.schema.types.event import Event
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.store.aggregates import Aggregate as Source


@strawberry.enum(description="In which direction events are listed.")
class Order(Enum):
    NEWEST_FIRST = strawberry.enum_value("NEWEST_FIRST", description="Against the order of the log.")
    OLDEST_FIRST = strawberry.enum_value("OLDEST_FIRST", description="In the order of the log.")


@strawberry.enum(description="In which order aggregates are listed.")
class AggregateOrder(Enum):
    RECENTLY_CHANGED = strawberry.enum_value("changed", description="The one with the newest event first.")
    RECENTLY_CREATED = strawberry.enum_value("created", description="The one whose first event is newest first.")


@strawberry.type(description="A thing that events happen to, as its events leave it.")
class Aggregate(Node):
    id: strawberry.ID = strawberry.field(
        description="Made of both its type and its `aggregateId`: `aggregate:user/42`. Everything else that asks which "
        "aggregate is meant takes the `aggregateId` alone."
    )
    aggregate_id: strawberry.ID = strawberry.field(description="Its id as its events have it, unique within its type.")
    type: str = strawberry.field(description="The kind of thing it is, like `user`.")
    version: int = strawberry.field(description="How many events it ever had; the next one gets one more.")
    event_count: BigInt = strawberry.field(description="How many of its events are kept.")
    first_event_at: Moment = strawberry.field(description="The timestamp of the first of its events that are kept.")
    last_event_at: Moment = strawberry.field(description="The timestamp of the last one.")
    last_event_type: str = strawberry.field(description="The type of the last one.")
    deleted: bool = strawberry.field(description="Whether its newest own event says so, like `user.deleted`.")

    source = Source

    @strawberry.field(description="Its events.", graphql_type=Connection[Event])
    async def events(
        self,
        info: Info,
        order: Annotated[
            Order | None, strawberry.argument(description="In which direction they are listed.")
        ] = Order.OLDEST_FIRST,
        first: First = None,
        after: After = None,
    ) -> object:
        asked = request(first, after)
        info.context.spend(asked.size)
        own = Own(cast("Source", self), asked, order is Order.NEWEST_FIRST, selection.fields(info))
        return await info.context.own_loader.load(own)
