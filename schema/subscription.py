"""What can be followed live."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import Enum
from typing import Annotated

import strawberry

from eventscope.resolvers import events as resolver
from eventscope.schema.context import Context, Info
from eventscope.schema.feed import Delivery, EventFeed, deliveries
from eventscope.schema.filter import EventFilter, event_filter
from eventscope.store.filter import Filter
from eventscope.subscriptions.follow import follow


@strawberry.enum(description="Where a subscription without a cursor starts.")
class StartFrom(Enum):
    BEGINNING = strawberry.enum_value("BEGINNING", description="With the first event of the log.")
    NOW = strawberry.enum_value("NOW", description="With the next event.")


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
        filter: EventFilter | None = None,
        after: str | None = None,
        start: Annotated[StartFrom | None, strawberry.argument(name="from")] = StartFrom.NOW,
    ) -> AsyncGenerator[Delivery, None]:
        chosen = event_filter(filter)
        position = await resolver.start(info.context.log, after, from_beginning=start is StartFrom.BEGINNING)
        return _events(info.context, chosen, position)


async def _events(context: Context, filter: Filter, position: int) -> AsyncGenerator[Delivery, None]:
    async with aclosing(follow(context.log, context.services.feed, filter, position)) as items:
        async for delivery in deliveries(items):
            yield delivery
            context.renew()
