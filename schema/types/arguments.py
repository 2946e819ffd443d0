"""The arguments that several questions have, described once."""

from typing import Annotated, TypeAlias

import strawberry
from strawberry import argument

from eventscope.schema.types.filter import AggregateFilter, EventFilter, StatsFilter

First: TypeAlias = Annotated[
    int | None, argument(description="How many to give, from the start of the list: 0 to 1000; 50 if left out.")
]
Last: TypeAlias = Annotated[
    int | None, argument(description="How many to give, from the end of the list, in place of `first`: 0 to 1000.")
]
After: TypeAlias = Annotated[
    str | None, argument(description="Begin behind this cursor: give the `endCursor` of a page to get the next one.")
]
Before: TypeAlias = Annotated[
    str | None,
    argument(description="End before this cursor: with `last`, the `startCursor` of a page gives the one before."),
]
Which: TypeAlias = Annotated[
    EventFilter | None, argument(description="Which events are meant; all of them, if left out.")
]
WhichAggregates: TypeAlias = Annotated[
    AggregateFilter | None, argument(description="Which aggregates are meant; all of them, if left out.")
]
WhichCount: TypeAlias = Annotated[
    StatsFilter | None, argument(description="Which events are counted; all of them, if left out.")
]
EventId: TypeAlias = Annotated[
    strawberry.ID, argument(description="Its `id`; its `messageId` will do too, unless that begins with `event:`.")
]
AnyId: TypeAlias = Annotated[strawberry.ID, argument(description="The `id` that something has.")]
AnyIds: TypeAlias = Annotated[list[strawberry.ID], argument(description="The `id`s that things have.")]
AggregateType: TypeAlias = Annotated[str, argument(description="The kind of thing it is, like `user`.")]
AggregateId: TypeAlias = Annotated[strawberry.ID, argument(description="Its `aggregateId`, unique within its type.")]
Prefix: TypeAlias = Annotated[str | None, argument(description="What the names of the types start with, like `user.`.")]
Conversation: TypeAlias = Annotated[strawberry.ID, argument(description="The correlation id that its events have.")]
MostTraced: TypeAlias = Annotated[
    int | None, argument(description="How many events to read: 1 to 10000, and 10000 if left out.")
]
AfterTraced: TypeAlias = Annotated[
    str | None, argument(description="Go on behind this cursor, the `endCursor` of a trace that is not complete.")
]
