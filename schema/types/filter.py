"""Filters as clients write them, checked and translated into the store's filters before anything runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import strawberry

from eventscope.errors import BadInput, TooComplex
from eventscope.schema import ids
from eventscope.schema.types.path_condition import PathCondition, path_filter
from eventscope.schema.types.scalars import BigInt, Moment
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.filters.filter import (
    EVERYTHING,
    All,
    Among,
    Any_,
    Between,
    Field,
    Filter,
    Ids,
    Measure,
    Not,
    TypePatterns,
    is_pattern,
)
from eventscope.store.filters.paths import Root
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment

MOST_VALUES: Final = 1000
MOST_TEXT: Final = 1024
MOST_CONDITIONS: Final = 100
MOST_PATTERNS: Final = 5_000
MOST_NESTED: Final = 10


@strawberry.input(description="Selects events. All given conditions must hold.")
class EventFilter:
    ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Events with one of these `id`s or `messageId`s."
    )
    event_types: list[str] | None = strawberry.field(
        default=None, description="Event types, or patterns in which `*` stands for any text: `user.*`."
    )
    aggregate_type: str | None = strawberry.field(default=None, description="The kind of thing it happened to.")
    aggregate_types: list[str] | None = strawberry.field(default=None, description="One of these aggregate types.")
    aggregate_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the thing it happened to."
    )
    aggregate_ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="One of these aggregate ids."
    )
    user_id: strawberry.ID | None = strawberry.field(default=None, description="The id of the user who caused it.")
    correlation_id: strawberry.ID | None = strawberry.field(
        default=None, description="The id of the conversation it belongs to."
    )
    causation_id: strawberry.ID | None = strawberry.field(
        default=None, description="The message id of the event or command that caused it."
    )
    from_timestamp: Moment | None = strawberry.field(default=None, description="At or after this time.")
    to_timestamp: Moment | None = strawberry.field(
        default=None, description="At or before this time; for a date alone, until the end of that day."
    )
    before_timestamp: Moment | None = strawberry.field(default=None, description="Before this time, excluding it.")
    from_position: BigInt | None = strawberry.field(default=None, description="At or after this position.")
    to_position: BigInt | None = strawberry.field(default=None, description="At or before this position.")
    from_version: int | None = strawberry.field(
        default=None, description="At or above this version within its aggregate."
    )
    to_version: int | None = strawberry.field(
        default=None, description="At or below this version within its aggregate."
    )
    data: list[PathCondition] | None = strawberry.field(default=None, description="Conditions on its data.")
    metadata: list[PathCondition] | None = strawberry.field(default=None, description="Conditions on its metadata.")
    and_: list["EventFilter"] | None = strawberry.field(
        name="and", default=None, description="The event must match all of these filters too."
    )
    or_: list["EventFilter"] | None = strawberry.field(
        name="or",
        default=None,
        description="The event must match at least one of these filters; an empty list matches nothing.",
    )
    not_: "EventFilter | None" = strawberry.field(
        name="not", default=None, description="The event must not match this filter."
    )


@strawberry.input(description="Selects aggregates. All given conditions must hold.")
class AggregateFilter:
    type: str | None = strawberry.field(default=None, description="Aggregates of this type.")
    types: list[str] | None = strawberry.field(default=None, description="Aggregates of one of these types.")
    ids: list[strawberry.ID] | None = strawberry.field(
        default=None, description="Aggregates with one of these `aggregateId`s."
    )
    deleted: bool | None = strawberry.field(
        default=None, description="True for deleted aggregates only, false for the others only."
    )


@strawberry.input(
    description="Selects the events to count. Filters by type, aggregate type and time are answered from "
    "stored counts, in time that does not grow with the log. Filters by id count the events "
    "through an index; more than 100000 are an error."
)
class StatsFilter:
    event_types: list[str] | None = strawberry.field(
        default=None, description="Event types, or patterns such as `user.*`."
    )
    aggregate_type: str | None = strawberry.field(default=None, description="Only events of this aggregate type.")
    aggregate_types: list[str] | None = strawberry.field(
        default=None, description="Only events of these aggregate types."
    )
    aggregate_id: strawberry.ID | None = strawberry.field(default=None, description="Only events of this aggregate.")
    user_id: strawberry.ID | None = strawberry.field(default=None, description="Only events caused by this user.")
    correlation_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events with this correlation id."
    )
    causation_id: strawberry.ID | None = strawberry.field(
        default=None, description="Only events with this causation id."
    )
    from_timestamp: Moment | None = strawberry.field(default=None, description="At or after this time.")
    to_timestamp: Moment | None = strawberry.field(
        default=None, description="At or before this time; for a date alone, until the end of that day."
    )
    before_timestamp: Moment | None = strawberry.field(default=None, description="Before this time, excluding it.")


@dataclass(slots=True)
class _Parts:
    filters: list[Filter]

    def ids(self, field: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(Ids(texts(field, [ids.message_id(value) for value in values])))

    def types(self, field: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(TypePatterns(texts(field, values)))

    def equal(self, field: Field, value: str | None) -> None:
        if value is not None:
            self.filters.append(Among(field, texts(field, [value])))

    def among(self, field: Field, name: str, values: Sequence[str] | None) -> None:
        if values is not None:
            self.filters.append(Among(field, texts(name, values)))

    def between(self, measure: Measure, low: int | None, high: int | None) -> None:
        if low is not None or high is not None:
            self.filters.append(Between(measure, low, high))


def event_filter(input: EventFilter | None) -> Filter:
    """The store's filter; BadInput if a list or a text is too long, TooComplex if there are too many conditions."""
    return EVERYTHING if input is None else _Reader().read(input, MOST_NESTED)


@dataclass(slots=True)
class _Reader:
    """Translates one filter, and counts its conditions."""

    conditions: int = 0
    patterns: int = 0

    def read(self, input: EventFilter, depth: int) -> Filter:
        if depth == 0:
            raise TooComplex(f"the filter nests `and`, `or` and `not` over {MOST_NESTED} deep")
        parts = _own(input)
        nested = (*(input.and_ or ()), *(input.or_ or ()))
        paths = [(root, condition) for root, conditions in _roots(input) for condition in conditions or ()]
        self._count(len(parts) + len(paths) + len(nested), sum(map(is_pattern, input.event_types or ())))
        parts += [path_filter(root, condition) for root, condition in paths]
        parts += [self.read(one, depth - 1) for one in input.and_ or ()]
        if input.or_ is not None:
            parts.append(Any_(tuple(self.read(one, depth - 1) for one in input.or_)))
        if input.not_ is not None:
            parts.append(Not(self.read(input.not_, depth - 1)))
        return All(tuple(parts))

    def _count(self, conditions: int, patterns: int) -> None:
        self.conditions += conditions
        self.patterns += patterns
        if self.conditions > MOST_CONDITIONS:
            raise TooComplex(f"the filter has over {MOST_CONDITIONS} conditions")
        if self.patterns > MOST_PATTERNS:
            raise TooComplex(f"the filter has over {MOST_PATTERNS} patterns")


def _roots(input: EventFilter) -> tuple[tuple[Root, Sequence[PathCondition] | None], ...]:
    return ("data", input.data), ("metadata", input.metadata)


def _own(input: EventFilter) -> list[Filter]:
    """The conditions on the event's own fields."""
    parts = _Parts([])
    parts.ids("ids", input.ids)
    parts.types("eventTypes", input.event_types)
    parts.equal("aggregateType", input.aggregate_type)
    parts.among("aggregateType", "aggregateTypes", input.aggregate_types)
    parts.equal("aggregateId", input.aggregate_id)
    parts.among("aggregateId", "aggregateIds", input.aggregate_ids)
    parts.equal("userId", input.user_id)
    parts.equal("correlationId", input.correlation_id)
    parts.equal("causationId", input.causation_id)
    parts.between("timestamp", *moment.ends(input.from_timestamp, input.to_timestamp, input.before_timestamp))
    parts.between("position", input.from_position, input.to_position)
    parts.between("version", input.from_version, input.to_version)
    return parts.filters


def aggregate_filter(input: AggregateFilter | None) -> AggregateCriteria:
    """The store's form of the filter; BadInput if a list or a text is too long."""
    if input is None:
        return AggregateCriteria()
    return AggregateCriteria(
        types=_one_or_many("type", input.type, "types", input.types),
        ids=None if input.ids is None else texts("ids", input.ids),
        deleted=input.deleted,
    )


def scope(input: StatsFilter | None) -> Scope:
    """The store's form of the filter; BadInput if a list or a text is too long."""
    if input is None:
        return Scope()
    low, high = moment.ends(input.from_timestamp, input.to_timestamp, input.before_timestamp)
    return Scope(
        types=None if input.event_types is None else TypePatterns(texts("eventTypes", input.event_types)),
        aggregate_types=_one_or_many("aggregateType", input.aggregate_type, "aggregateTypes", input.aggregate_types),
        low=low,
        high=high,
        among=_among(input),
    )


def _among(input: StatsFilter) -> tuple[Among, ...]:
    ids: dict[Field, str | None] = {
        "aggregateId": input.aggregate_id,
        "userId": input.user_id,
        "correlationId": input.correlation_id,
        "causationId": input.causation_id,
    }
    return tuple(Among(field, texts(field, [id])) for field, id in ids.items() if id is not None)


def texts(field: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values without duplicates; BadInput if there are too many or one is too long."""
    if len(values) > MOST_VALUES:
        raise BadInput(f"{field} has {len(values)} values; the limit is {MOST_VALUES}", field)
    for value in values:
        if len(value) > MOST_TEXT:
            raise BadInput(f"{field} has a text of {len(value)} characters; the limit is {MOST_TEXT}", field)
    return tuple(dict.fromkeys(values))


def _one_or_many(name: str, one: str | None, names: str, many: Sequence[str] | None) -> tuple[str, ...] | None:
    if one is None:
        return None if many is None else texts(names, many)
    if many is None:
        return texts(name, [one])
    return texts(name, [one]) if one in many else ()
