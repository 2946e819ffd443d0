"""Filters as clients write them, and as the store takes them: data, checked before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import strawberry

from eventscope.errors import BadInput
from eventscope.schema.scalars import BigInt, Moment
from eventscope.store.aggregates import AggregateFilter as StoreAggregateFilter
from eventscope.store.counts import Scope
from eventscope.store.filter import All, Among, Between, Field, Filter, Ids, Measure, Types

MOST_VALUES: Final = 1000
MOST_TEXT: Final = 1024


@strawberry.input(description="Which events are meant. All conditions must hold; what is left out is open.")
class EventFilter:
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="These very events.")
    event_types: list[str] | None = strawberry.field(
        default=None, description="Types, or patterns in which `*` stands for any text: `user.*`."
    )
    aggregate_type: str | None = strawberry.field(default=None, description="The kind of thing it happened to.")
    aggregate_types: list[str] | None = strawberry.field(default=None, description="One of these kinds.")
    aggregate_id: strawberry.ID | None = strawberry.field(default=None, description="Which thing it happened to.")
    aggregate_ids: list[strawberry.ID] | None = strawberry.field(default=None, description="One of these things.")
    user_id: strawberry.ID | None = strawberry.field(default=None, description="Who did it.")
    correlation_id: strawberry.ID | None = strawberry.field(default=None, description="The conversation.")
    causation_id: strawberry.ID | None = strawberry.field(default=None, description="What caused it.")
    from_timestamp: Moment | None = strawberry.field(default=None, description="Not before this time.")
    to_timestamp: Moment | None = strawberry.field(default=None, description="Not after this time.")
    from_position: BigInt | None = strawberry.field(default=None, description="Not before this position.")
    to_position: BigInt | None = strawberry.field(default=None, description="Not after this position.")
    from_version: int | None = strawberry.field(default=None, description="Not before this version of its aggregate.")
    to_version: int | None = strawberry.field(default=None, description="Not after this version of its aggregate.")


@strawberry.input(description="Which aggregates are meant.")
class AggregateFilter:
    type: str | None = strawberry.field(default=None, description="Aggregates of this type.")
    types: list[str] | None = strawberry.field(default=None, description="Aggregates of one of these types.")
    ids: list[strawberry.ID] | None = strawberry.field(default=None, description="Aggregates with one of these ids.")
    deleted: bool | None = strawberry.field(default=None, description="Only deleted ones, or only those that are not.")


@strawberry.input(description="Which events are counted.")
class StatsFilter:
    event_types: list[str] | None = strawberry.field(default=None, description="Types, or patterns like `user.*`.")
    aggregate_type: str | None = strawberry.field(default=None, description="Only about this kind of thing.")
    aggregate_types: list[str] | None = strawberry.field(default=None, description="Only about these kinds of thing.")
    from_timestamp: Moment | None = strawberry.field(default=None, description="Not before this time.")
    to_timestamp: Moment | None = strawberry.field(default=None, description="Not after this time.")


@dataclass(slots=True)
class _Parts:
    filters: list[Filter]

    def ids(self, field: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(Ids(texts(field, values)))

    def types(self, field: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(Types(texts(field, values)))

    def equal(self, field: Field, value: str | None) -> None:
        if value is not None:
            self.filters.append(Among(field, texts(field, [value])))

    def among(self, field: Field, name: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(Among(field, texts(name, values)))

    def between(self, measure: Measure, low: int | None, high: int | None) -> None:
        if low is not None or high is not None:
            self.filters.append(Between(measure, low, high))


def event_filter(given: EventFilter | None) -> Filter:
    """The filter as data; BadInput when a list or a text is too long."""
    parts = _Parts([])
    if given is not None:
        parts.ids("ids", given.ids)
        parts.types("eventTypes", given.event_types)
        parts.equal("aggregateType", given.aggregate_type)
        parts.among("aggregateType", "aggregateTypes", given.aggregate_types)
        parts.equal("aggregateId", given.aggregate_id)
        parts.among("aggregateId", "aggregateIds", given.aggregate_ids)
        parts.equal("userId", given.user_id)
        parts.equal("correlationId", given.correlation_id)
        parts.equal("causationId", given.causation_id)
        parts.between("timestamp", given.from_timestamp, given.to_timestamp)
        parts.between("position", given.from_position, given.to_position)
        parts.between("version", given.from_version, given.to_version)
    return All(tuple(parts.filters))


def aggregate_filter(given: AggregateFilter | None) -> StoreAggregateFilter:
    """The filter as data; BadInput when a list or a text is too long."""
    if given is None:
        return StoreAggregateFilter()
    return StoreAggregateFilter(
        types=_one_or_many("type", given.type, "types", given.types),
        ids=None if given.ids is None else texts("ids", given.ids),
        deleted=given.deleted,
    )


def scope(given: StatsFilter | None) -> Scope:
    """The filter as data; BadInput when a list or a text is too long."""
    if given is None:
        return Scope()
    return Scope(
        types=None if given.event_types is None else Types(texts("eventTypes", given.event_types)),
        aggregate_types=_one_or_many("aggregateType", given.aggregate_type, "aggregateTypes", given.aggregate_types),
        low=given.from_timestamp,
        high=given.to_timestamp,
    )


def texts(field: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values without doubles; BadInput when they are too many or one is too long."""
    if len(values) > MOST_VALUES:
        raise BadInput(f"{field} has {len(values)} values; {MOST_VALUES} are the most", field)
    for value in values:
        if len(value) > MOST_TEXT:
            raise BadInput(f"{field} holds a text of {len(value)} characters; {MOST_TEXT} are the most", field)
    return tuple(dict.fromkeys(values))


def _one_or_many(name: str, one: str | None, names: str, many: Sequence[str] | None) -> tuple[str, ...] | None:
    if one is None:
        return None if many is None else texts(names, many)
    if many is None:
        return texts(name, [one])
    return texts(name, [one]) if one in many else ()
