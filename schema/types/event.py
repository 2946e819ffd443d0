"""The event as clients see it. Its source is the stored document itself, so nothing is copied."""

from typing import TYPE_CHECKING, Annotated, cast

import strawberry

from eventscope.resolvers import causes, cursor
from eventscope.resolvers.page import request
from eventscope.schema.context import Info
from eventscope.schema.types.arguments import After, First
from eventscope.schema.types.connection import Connection
from eventscope.schema.types.node import Node
from eventscope.schema.types.scalars import JSON, BigInt, Moment
from eventscope.store.values.documents import EventDocument

if TYPE_CHECKING:
    from eventscope.schema.types.aggregate import Aggregate


@strawberry.type(description="Something that happened: one entry of the log, never changed.")
class Event(Node):
    id: strawberry.ID = strawberry.field(
        description="Its `messageId`; prefixed with `event:` only if the `messageId` itself begins with "
        "`aggregate:`, `event:`, `log:`, `rejected:` or `type:`, so that no two objects share an "
        "id."
    )
    message_id: strawberry.ID = strawberry.field(
        description="The message id from the publisher, or a generated one; the events it caused have it as "
        "their `causationId`."
    )
    position: BigInt = strawberry.field(
        description="The position in its log: 1, 2, 3 … without gaps, in the order in which events are stored. "
        "Positions of different logs cannot be compared."
    )
    type: str = strawberry.field(description="What happened, such as `user.created`.")
    timestamp: Moment = strawberry.field(description="When it happened, according to the publisher.")
    recorded_at: Moment = strawberry.field(
        description="When NATS received the message. It never falls along positions: after a clock of NATS is set "
        "back, it stands still until that clock reaches it again."
    )
    aggregate_type: str | None = strawberry.field(description="The kind of thing it happened to, such as `user`.")
    aggregate_id: strawberry.ID | None = strawberry.field(
        description="The id of the thing it happened to, unique within its aggregate type."
    )
    version: int | None = strawberry.field(
        description="Version within the aggregate: 1 for its first event, then 2, 3 …"
    )
    claimed_version: BigInt | None = strawberry.field(
        description="The version its publisher claimed in the message; null if it claimed none, or the correct one."
    )
    user_id: strawberry.ID | None = strawberry.field(description="The id of the user who caused it.")
    correlation_id: strawberry.ID | None = strawberry.field(description="The id of the conversation it belongs to.")
    causation_id: strawberry.ID | None = strawberry.field(
        description="The message id of the event or command that caused it."
    )
    data: JSON | None = strawberry.field(description="The content of the event.")
    metadata: JSON | None = strawberry.field(description="Context of the event: why, from where, with what.")
    extensions: JSON | None = strawberry.field(
        description="Other members of the message, which have no field of their own."
    )
    expires_at: Moment | None = strawberry.field(description="When its retention ends; null if it is kept forever.")

    source = dict

    @strawberry.field(description="The position as a cursor, for `after` in lists and subscriptions.")
    def cursor(self, info: Info) -> str:
        return cursor.of_event(cast("EventDocument", self), info.context.suffix)

    @strawberry.field(description="The aggregate it happened to.")
    async def aggregate(
        self, info: Info
    ) -> Annotated["Aggregate", strawberry.lazy("eventscope.schema.types.aggregate")] | None:
        event = cast("EventDocument", self)
        type, id = event.get("aggregateType"), event.get("aggregateId")
        if type is None or id is None:
            return None
        info.context.charge(1)
        return cast("Aggregate | None", await info.context.aggregate_loader.load((type, id)))

    @strawberry.field(
        description="The event that caused it; null if it was caused by a command, or if the event is not in the log."
    )
    async def cause(self, info: Info) -> "Event | None":
        id = cast("EventDocument", self).get("causationId")
        if id is None:
            return None
        info.context.charge(1)
        return cast("Event | None", await info.context.event_loader.load(id))

    @strawberry.field(description="The events it caused, in log order.")
    async def effects(self, info: Info, first: First = None, after: After = None) -> "Connection[Event]":
        page, context = request(first, after), info.context
        context.charge(page.size)
        event = cast("EventDocument", self)
        found = await causes.effects(context.log, event, page, context.part_loader.load, context.count_loader.load)
        return cast("Connection[Event]", found)

    @strawberry.field(description="The other events with the same correlation id, in log order.")
    async def related(self, info: Info, first: First = None, after: After = None) -> "Connection[Event]":
        page, context = request(first, after), info.context
        context.charge(page.size)
        event = cast("EventDocument", self)
        found = await causes.related(context.log, event, page, context.part_loader.load, context.count_loader.load)
        return cast("Connection[Event]", found)
