"""Statistics as clients see them."""

from enum import Enum
from typing import Any, cast

import strawberry

from eventscope.resolvers import stats as resolver
from eventscope.schema.scalars import BigInt, Moment


@strawberry.enum(description="How long the stretches of a histogram are, in UTC.")
class Interval(Enum):
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = strawberry.enum_value("WEEK", description="From Monday on, as ISO 8601 has it.")


@strawberry.enum(description="What a histogram tells apart besides time.")
class HistogramBy(Enum):
    NONE = "NONE"
    TYPE = "TYPE"
    AGGREGATE_TYPE = "AGGREGATE_TYPE"


@strawberry.type(description="How many events there are of a type.")
class TypeCount:
    type: str = strawberry.field(description="The event type or aggregate type.")
    count: BigInt = strawberry.field(description="How many events.")


@strawberry.type(description="The first and the last timestamp.")
class TimeRange:
    earliest: Moment = strawberry.field(description="The earliest timestamp.")
    latest: Moment = strawberry.field(description="The latest timestamp.")


@strawberry.type(description="The events of one stretch of time.")
class Bucket:
    start: Moment = strawberry.field(description="When the stretch starts.")
    end: Moment = strawberry.field(description="When the next one starts.")
    key: str | None = strawberry.field(description="The type or aggregate type, where the histogram tells them apart.")
    count: BigInt = strawberry.field(description="How many events.")


@strawberry.type(description="Counts of events, kept up to date while they come in: exact, however many there are.")
class EventStats:
    total_events: BigInt = strawberry.field(description="How many events.")
    event_types: int = strawberry.field(description="How many types of event.")
    event_type_breakdown: list[TypeCount] = strawberry.field(description="How many of each type, most frequent first.")
    aggregate_type_breakdown: list[TypeCount] = strawberry.field(
        description="How many of each aggregate type, most frequent first."
    )
    time_range: TimeRange | None = strawberry.field(description="From when to when; null if there are no events.")

    @strawberry.field(description="How many different aggregates they happened to.")
    async def unique_aggregates(self) -> BigInt:
        return BigInt(await resolver.unique_aggregates(cast("resolver.Stats", self)))

    @strawberry.field(
        description="The counts over time, oldest first. Stretches without events are left out.",
        graphql_type=list[Bucket],
    )
    async def histogram(
        self, interval: Interval | None = Interval.HOUR, by: HistogramBy | None = HistogramBy.NONE
    ) -> object:
        source: Any = self
        return await resolver.histogram(source, (interval or Interval.HOUR).value, (by or HistogramBy.NONE).value)
