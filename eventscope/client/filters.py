"""Filters for services: the keyword arguments of `EventsService`, and the GraphQL filter that they become."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias, TypedDict

from eventscope.client.event import JSON, camel, iso
from eventscope.errors import BadInput
from eventscope.store.values import json_text

Condition: TypeAlias = Mapping[str, JSON]  # {"path": "order.total", "gte": 100}, as in GraphQL


class FilterArgs(TypedDict, total=False):
    """All conditions must hold; those left out, or None, match every event."""

    ids: Sequence[str] | None
    event_types: Sequence[str] | None  # user.* matches all types that begin with user.
    aggregate_type: str | None
    aggregate_types: Sequence[str] | None
    aggregate_id: str | None
    aggregate_ids: Sequence[str] | None
    user_id: str | None
    correlation_id: str | None
    causation_id: str | None
    from_timestamp: datetime | date | None
    to_timestamp: datetime | date | None  # inclusive; a date means its end, in UTC
    before_timestamp: datetime | date | None  # exclusive; a date means its start, in UTC
    from_position: int | None
    to_position: int | None
    from_version: int | None
    to_version: int | None
    data: Sequence[Condition] | None
    metadata: Sequence[Condition] | None
    and_: "Sequence[FilterArgs] | None"
    or_: "Sequence[FilterArgs] | None"
    not_: "FilterArgs | None"


def graphql_filter(filters: FilterArgs) -> dict[str, Any]:
    """The GraphQL filter. TypeError for an unknown keyword, BadInput for a value that is not JSON."""
    unknown = [name for name in filters if name not in FilterArgs.__annotations__]
    if unknown:
        raise TypeError(f"{unknown[0]!r} is not a filter; the filters are {', '.join(FilterArgs.__annotations__)}")
    return {camel(name.rstrip("_")): _value(name, value) for name, value in filters.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if name in ("data", "metadata"):
        conditions = [dict(condition) for condition in value]
        try:
            json_text.dumps(conditions)
        except json_text.Fault as fault:
            raise BadInput(f"{name} is not JSON: {fault}", name) from None
        return conditions
    if name in ("and_", "or_"):
        return [graphql_filter(one) for one in value]
    if name == "not_":
        return graphql_filter(value)
    # a str is a sequence too; it is sent as it is, since GraphQL reads it as a list of one
    return list(value) if name.endswith("s") and not isinstance(value, str) else value
