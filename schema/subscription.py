"""What can be followed live."""

from collections.abc import AsyncGenerator
from enum import Enum
from functools import partial
from typing import Annotated, TypeAlias

import strawberry

from eventscope.resolvers import events as resolver
from eventscope.schema.context import Info
from eventscope.schema.live import queries, rendering
from eventscope.schema.live.rendering import Rendering
from eventscope.schema.types.aggregate import Aggregate
from eventscope.schema.types.arguments import AggregateId, AggregateType, Which, WhichCount
from eventscope.schema.types.feed import Delivery, EventFeed
from eventscope.schema.types.filter import event_filter, scope
from eventscope.schema.types.stats import EventStats
from eventscope.store.filters.filter import Filter


@strawberry.enum(description="Where a subscription without a cursor starts.")
class StartFrom(Enum):
    BEGINNING = strawberry.enum_value("BEGINNING", description="With the first event of the log.")
    NOW = strawberry.enum_value("NOW", description="With the next event.")


Start: TypeAlias = Annotated[
    StartFrom | None, strawberry.argument(name="from", description="Where to begin without a cursor.")
]


@strawberry.type(description="What happens, as it happens.")
class Subscription:
    @strawberry.subscription(
        description="Every event that matches, in order, none left out: from now on, from the beginning, or from "
        "behind the cursor `after`.",
        graphql_type=EventFeed,
    )
    async def events(
        self,
        info: Info,
        filter: Which = None,
        after: Annotated[
            str | None, strawberry.argument(description="Begin behind this cursor, the last one that was received.")
        ] = None,
        start: Start = StartFrom.NOW,
    ) -> AsyncGenerator[Delivery, None]:
        chosen = event_filter(filter)
        position = await resolver.start(
            info.context.log, info.context.resume or after, from_beginning=start is StartFrom.BEGINNING
        )
        return _events(info, chosen, position)

    @strawberry.subscription(
        description="One aggregate: as it is now, or else with its first event, and again whenever it has changed. "
        "Changes in between may be merged; the last one never is left out.",
        graphql_type=Aggregate,
    )
    async def aggregate(self, info: Info, type: AggregateType, id: AggregateId) -> AsyncGenerator[object, None]:
        return queries.aggregate_heads(info.context, type, id)

    @strawberry.subscription(
        description="Counts of the events that match: as they are now, and again when they have changed.",
        graphql_type=EventStats,
    )
    async def stats(
        self,
        info: Info,
        filter: WhichCount = None,
        every_seconds: Annotated[
            float | None, strawberry.argument(description="How much time there is between two counts: 0.2 to 3600.")
        ] = queries.SECONDS,
    ) -> AsyncGenerator[object, None]:
        return queries.counted(info.context, scope(filter), every_seconds)

    @strawberry.subscription(
        description="Events that match, once more in the order of the log and at the rhythm in which they happened, up "
        "to where the log ended when the replay began. To pause, leave; to go on, come back with the last cursor. It "
        "ends with a `Checkpoint` where the last positions do not match.",
        graphql_type=EventFeed,
    )
    async def replay(
        self,
        info: Info,
        filter: Which = None,
        after: Annotated[
            str | None, strawberry.argument(description="Begin behind this cursor, not with the first event.")
        ] = None,
        up_to: Annotated[
            str | None, strawberry.argument(description="End with this cursor, where the log does not end before.")
        ] = None,
        speed: Annotated[
            float | None,
            strawberry.argument(description="2 is twice as fast as it happened; if left out, as fast as it is read."),
        ] = None,
        max_pause_seconds: Annotated[
            float | None, strawberry.argument(description="How long to wait for an event at most: 0 to 3600.")
        ] = queries.PAUSE,
    ) -> AsyncGenerator[Delivery, None]:
        return await queries.replayed(info.context, event_filter(filter), after, up_to, speed, max_pause_seconds)


async def _events(info: Info, filter: Filter, position: int) -> AsyncGenerator[Delivery, None]:
    """No deliveries: the hub sends them to the outlet as text, shared with all who subscribe to the same."""
    services, outlet = info.context.services, info.context.outlet
    assert outlet is not None, "subscriptions run over connections, which all give an outlet"
    document = rendering.prepared(info.schema, outlet)
    key = rendering.key(document, outlet)
    make = partial(Rendering, info.schema, services, document, outlet)
    await services.hub.follow(key, filter, position, make, outlet.sink)
    return
    yield  # makes it the generator that GraphQL wants
