"""Statistics as clients see them."""

from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from eventscope.resolvers import stats as resolver
from eventscope.schema.context import Info
from eventscope.schema.types.scalars import BigInt, Moment


@strawberry.enum(description="How long the stretches of a histogram are, in UTC.")
class Interval(Enum):
    HOUR = strawberry.enum_value("HOUR", description="From full hour to full hour.")
    DAY = strawberry.enum_value("DAY", description="From midnight to midnight.")
    WEEK = strawberry.enum_value("WEEK", description="From Monday on, as ISO 8601 has it.")


@strawberry.enum(description="What a histogram tells apart besides time.")
class HistogramBy(Enum):
    NONE = strawberry.enum_value("NONE", description="Nothing: one count for each stretch.")
    TYPE = strawberry.enum_value("TYPE", description="One count for each event type.")
    AGGREGATE_TYPE = strawberry.enum_value("AGGREGATE_TYPE", description="One count for each aggregate type.")


@strawberry.type(description="How many events there are of a type.")
class TypeCount:
    type: str = strawberry.field(description="The event type or aggregate type.")
    count: BigInt = strawberry.field(description="How many events.")


MostTypes = Annotated[int | None, strawberry.argument(description="How many types at most, up to 1000.")]


@strawberry.type(description="The first and the last timestamp.")
class TimeRange:
    earliest: Moment = strawberry.field(description="The earliest timestamp.")
    latest: Moment = strawberry.field(description="The latest timestamp.")


@strawberry.type(description="The events of one stretch of time.")
class Bucket:
    start: Moment = strawberry.field(description="When the stretch starts.")
    end: Moment = strawberry.field(description="When the next one starts.")
    key: str | None = strawberry.field(
        description="The type or aggregate type, where the histogram tells them apart; null for all that are not among "
        "the `first` most frequent ones."
    )
    count: BigInt = strawberry.field(description="How many events.")


@strawberry.type(description="Counts of events, kept up to date while they come in: exact, however many there are.")
class EventStats:
    total_events: BigInt = strawberry.field(description="How many events.")
    event_types: int = strawberry.field(description="How many types of event.")
    aggregate_types: int = strawberry.field(description="How many types of aggregate.")
    time_range: TimeRange | None = strawberry.field(description="From when to when; null if there are no events.")

    @strawberry.field(
        description="How many of each type, most frequent first. Where there are more types than `first`, the others "
        "are left out; `eventTypes` and `totalEvents` count them too.",
        graphql_type=list[TypeCount],
    )
    def event_type_breakdown(self, info: Info, first: MostTypes = resolver.MOST_TOLD) -> object:
        return _told(cast("resolver.Stats", self).event_type_breakdown, info, first)

    @strawberry.field(
        description="How many of each aggregate type, most frequent first; events without one are not counted. Where "
        "there are more types than `first`, the others are left out; `aggregateTypes` counts them too.",
        graphql_type=list[TypeCount],
    )
    def aggregate_type_breakdown(self, info: Info, first: MostTypes = resolver.MOST_TOLD) -> object:
        return _told(cast("resolver.Stats", self).aggregate_type_breakdown, info, first)

    @strawberry.field(description="How many different aggregates they happened to.")
    async def unique_aggregates(self) -> BigInt:
        return BigInt(await resolver.unique_aggregates(cast("resolver.Stats", self)))

    @strawberry.field(
        description="The counts over time, oldest first. Stretches without events are left out.",
        graphql_type=list[Bucket],
    )
    async def histogram(
        self,
        interval: Annotated[
            Interval | None, strawberry.argument(description="How long the stretches are.")
        ] = Interval.HOUR,
        by: Annotated[
            HistogramBy | None, strawberry.argument(description="What is told apart besides time.")
        ] = HistogramBy.NONE,
        first: Annotated[
            int | None,
            strawberry.argument(
                description="How many types have counts of their own, the most frequent ones: up to 1000. All others "
                "together are under the key null."
            ),
        ] = resolver.MOST_TOLD,
    ) -> object:
        source: Any = self
        length: Any = interval or Interval.HOUR
        apart: Any = by or HistogramBy.NONE
        return await resolver.histogram(source, length.value, apart.value, first)


def _told(found: list[resolver.TypeCount], info: Info, first: int | None) -> list[resolver.TypeCount]:
    rows = found[: resolver.told(first)]
    info.context.spend(len(rows))
    return rows
