"""Arguments that several fields share, described once."""

from typing import Annotated, TypeAlias

import strawberry
from strawberry import argument

from eventscope.schema.types.filter import AggregateFilter, EventFilter, StatsFilter

First: TypeAlias = Annotated[
    int | None, argument(description="The number of entries from the start of the list: 0 to 1000, 50 by default.")
]
Last: TypeAlias = Annotated[
    int | None, argument(description="The number of entries from the end of the list, instead of `first`: 0 to 1000.")
]
After: TypeAlias = Annotated[
    str | None, argument(description="Start after this cursor: pass the `endCursor` of a page to get the next one.")
]
Before: TypeAlias = Annotated[
    str | None,
    argument(
        description="End before this cursor: with `last`, pass the `startCursor` of a page to get the previous one."
    ),
]
Which: TypeAlias = Annotated[EventFilter | None, argument(description="Which events to include; all by default.")]
WhichAggregates: TypeAlias = Annotated[
    AggregateFilter | None, argument(description="Which aggregates to include; all by default.")
]
WhichCount: TypeAlias = Annotated[StatsFilter | None, argument(description="Which events to count; all by default.")]
EventId: TypeAlias = Annotated[
    strawberry.ID, argument(description="The event's `id`. Its `messageId` works too, unless it begins with `event:`.")
]
AnyId: TypeAlias = Annotated[strawberry.ID, argument(description="The `id` of an object.")]
AnyIds: TypeAlias = Annotated[list[strawberry.ID], argument(description="The `id`s of objects.")]
AggregateType: TypeAlias = Annotated[str, argument(description="The kind of thing it is, such as `user`.")]
AggregateId: TypeAlias = Annotated[strawberry.ID, argument(description="The `aggregateId`, unique within its type.")]
Conversation: TypeAlias = Annotated[strawberry.ID, argument(description="The correlation id shared by the events.")]
MostTraced: TypeAlias = Annotated[
    int | None, argument(description="The number of events to read: 1 to 10000, 10000 by default.")
]
AfterTraced: TypeAlias = Annotated[
    str | None, argument(description="Continue after this cursor: pass the `endCursor` of an incomplete trace.")
]
