"""Statistics as clients see them."""

from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from eventscope.resolvers import stats as resolver
from eventscope.schema.context import Info
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.store.stats.counts import TypeTotal


@strawberry.enum(description="The length of a histogram's intervals, in UTC.")
class Interval(Enum):
    HOUR = strawberry.enum_value("HOUR", description="From one full hour to the next.")
    DAY = strawberry.enum_value("DAY", description="From midnight to midnight.")
    WEEK = strawberry.enum_value("WEEK", description="From Monday to Monday, as in ISO 8601.")


@strawberry.enum(description="What a histogram groups by, besides time.")
class HistogramBy(Enum):
    NONE = strawberry.enum_value("NONE", description="Time alone: one count per interval.")
    TYPE = strawberry.enum_value("TYPE", description="One count per event type.")
    AGGREGATE_TYPE = strawberry.enum_value("AGGREGATE_TYPE", description="One count per aggregate type.")


@strawberry.type(description="The number of events of one type.")
class TypeCount:
    type: str = strawberry.field(description="The event type or aggregate type.")
    count: BigInt = strawberry.field(description="The number of events.")


MostTypes = Annotated[int | None, strawberry.argument(description="The maximum number of types, up to 1000.")]


@strawberry.type(description="The earliest and the latest timestamp.")
class TimeRange:
    earliest: Moment = strawberry.field(description="The earliest timestamp.")
    latest: Moment = strawberry.field(description="The latest timestamp.")


@strawberry.type(description="The events of one interval.")
class Bucket:
    start: Moment = strawberry.field(description="The start of the interval.")
    end: Moment = strawberry.field(description="The end of the interval, and the start of the next one.")
    key: str | None = strawberry.field(
        description="The event type or aggregate type, if the histogram groups by one; null for all types "
        "beyond the `first` most frequent ones."
    )
    count: BigInt = strawberry.field(description="The number of events.")


@strawberry.type(description="Exact counts of events, updated as events arrive.")
class EventStats:
    total_events: BigInt = strawberry.field(description="The number of events.")
    event_types: int = strawberry.field(description="The number of event types.")
    aggregate_types: int = strawberry.field(description="The number of aggregate types.")
    time_range: TimeRange | None = strawberry.field(
        description="The range of their timestamps; null if there are no events."
    )

    @strawberry.field(
        description="The number of events per type, most frequent first. If there are more types than "
        "`first`, the rest are left out; `eventTypes` and `totalEvents` still count them.",
        graphql_type=list[TypeCount],
    )
    def event_type_breakdown(self, info: Info, first: MostTypes = resolver.MOST_TYPES) -> object:
        return _top(cast("resolver.Stats", self).event_type_breakdown, info, first)

    @strawberry.field(
        description="The number of events per aggregate type, most frequent first; events without one are not "
        "counted. If there are more types than `first`, the rest are left out; `aggregateTypes` "
        "still counts them.",
        graphql_type=list[TypeCount],
    )
    def aggregate_type_breakdown(self, info: Info, first: MostTypes = resolver.MOST_TYPES) -> object:
        return _top(cast("resolver.Stats", self).aggregate_type_breakdown, info, first)

    @strawberry.field(description="The number of different aggregates.")
    async def unique_aggregates(self) -> BigInt:
        return BigInt(await resolver.unique_aggregates(cast("resolver.Stats", self)))

    @strawberry.field(
        description="The counts over time, oldest first, without empty intervals.",
        graphql_type=list[Bucket],
    )
    async def histogram(
        self,
        interval: Annotated[
            Interval | None, strawberry.argument(description="The length of the intervals.")
        ] = Interval.HOUR,
        by: Annotated[
            HistogramBy | None, strawberry.argument(description="What to group by, besides time.")
        ] = HistogramBy.NONE,
        first: Annotated[
            int | None,
            strawberry.argument(
                description="The maximum number of types counted separately, most frequent first: up to 1000. All "
                "others are counted together under the key null."
            ),
        ] = resolver.MOST_TYPES,
    ) -> object:
        source: Any = self
        length: Any = interval or Interval.HOUR
        apart: Any = by or HistogramBy.NONE
        return await resolver.histogram(source, length.value, apart.value, first)


def _top(totals: list[TypeTotal], info: Info, first: int | None) -> list[TypeTotal]:
    rows = totals[: resolver.type_limit(first)]
    info.context.charge(len(rows))
    return rows
