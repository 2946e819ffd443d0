"""The root fields of subscriptions."""

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


@strawberry.enum(description="Where a subscription starts without a cursor.")
class StartFrom(Enum):
    BEGINNING = strawberry.enum_value("BEGINNING", description="Start with the first event of the log.")
    NOW = strawberry.enum_value("NOW", description="Start with the next event.")


Start: TypeAlias = Annotated[
    StartFrom | None, strawberry.argument(name="from", description="Where to start without a cursor.")
]


@strawberry.type(description="What happens, as it happens.")
class Subscription:
    @strawberry.subscription(
        description="Every matching event, in order and without gaps: from now on, from the beginning, or "
        "from just after the cursor `after`.",
        graphql_type=EventFeed,
    )
    async def events(
        self,
        info: Info,
        filter: Which = None,
        after: Annotated[
            str | None, strawberry.argument(description="Start after this cursor: pass the last one you received.")
        ] = None,
        start: Start = StartFrom.NOW,
    ) -> AsyncGenerator[Delivery, None]:
        chosen = event_filter(filter)  # a wrong filter is an error even while the log cannot be read
        position = await resolver.start(
            info.context.log, info.context.resume or after, from_beginning=start is StartFrom.BEGINNING
        )
        return _events(info, chosen, position)

    @strawberry.subscription(
        description="One aggregate: its current state (or, if it does not exist yet, its state after its "
        "first event), then its state after each change. Intermediate changes may be merged; the "
        "latest one is always sent.",
        graphql_type=Aggregate,
    )
    async def aggregate(self, info: Info, type: AggregateType, id: AggregateId) -> AsyncGenerator[object, None]:
        return queries.aggregate_changes(info.context, type, id)

    @strawberry.subscription(
        description="Counts of the matching events: the current counts, then new ones after each change.",
        graphql_type=EventStats,
    )
    async def stats(
        self,
        info: Info,
        filter: WhichCount = None,
        every_seconds: Annotated[
            float | None,
            strawberry.argument(description="The minimum number of seconds between two results: 0.2 to 3600."),
        ] = queries.SECONDS,
    ) -> AsyncGenerator[object, None]:
        return queries.stats_changes(info.context, scope(filter), every_seconds)

    @strawberry.subscription(
        description="Repeats matching events, in log order and at the pace at which they happened, up to "
        "the end of the log when the replay began. To pause, unsubscribe; to go on, subscribe "
        "again with the last cursor. Ends with a `Checkpoint` if no event matches at the end.",
        graphql_type=EventFeed,
    )
    async def replay(
        self,
        info: Info,
        filter: Which = None,
        after: Annotated[
            str | None, strawberry.argument(description="Start after this cursor instead of at the first event.")
        ] = None,
        up_to: Annotated[
            str | None,
            strawberry.argument(description="End at this cursor; ignored if it lies beyond the end of the log."),
        ] = None,
        speed: Annotated[
            float | None,
            strawberry.argument(
                description="The speed: 2 is twice as fast as it happened. Without it, events come as fast as they "
                "can be read."
            ),
        ] = None,
        max_pause_seconds: Annotated[
            float | None,
            strawberry.argument(description="The longest pause between two events, in seconds: 0 to 3600."),
        ] = queries.PAUSE,
    ) -> AsyncGenerator[Delivery, None]:
        return await queries.replay_log(info.context, event_filter(filter), after, up_to, speed, max_pause_seconds)


async def _events(info: Info, filter: Filter, position: int) -> AsyncGenerator[Delivery, None]:
    """Yields nothing: the hub sends the deliveries to the outlet as text, which all equal subscriptions share."""
    services, outlet = info.context.services, info.context.outlet
    assert outlet is not None, "every connection that subscriptions run over has an outlet"
    document = rendering.prepared(info.schema, outlet)
    key = rendering.key(document, outlet)
    make = partial(Rendering, info.schema, services, document, outlet)
    await services.hub.follow(key, filter, position, make, outlet.sink)
    return
    yield  # makes this a generator, as GraphQL requires
