"""Which events a service wants: the keywords of `EventsService`, and the GraphQL filter that they make."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict

from eventscope.event import camel, iso


class Wanted(TypedDict, total=False):
    """All conditions must hold; what is left out, or None, is open."""

    ids: Sequence[str] | None
    event_types: Sequence[str] | None  # `user.*` stands for all that begin so
    aggregate_type: str | None
    aggregate_types: Sequence[str] | None
    aggregate_id: str | None
    aggregate_ids: Sequence[str] | None
    user_id: str | None
    correlation_id: str | None
    causation_id: str | None
    from_timestamp: datetime | None
    to_timestamp: datetime | None
    from_position: int | None
    to_position: int | None
    from_version: int | None
    to_version: int | None


def filter_of(wanted: Wanted) -> dict[str, Any]:
    """The filter as GraphQL has it; TypeError for a keyword that is none."""
    unknown = [name for name in wanted if name not in Wanted.__annotations__]
    if unknown:
        raise TypeError(f"{unknown[0]!r} is not a keyword; there are {', '.join(Wanted.__annotations__)}")
    return {camel(name): _value(name, value) for name, value in wanted.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    # a text is a sequence of texts too, and easily given in the place of one
    return list(value) if name.endswith("s") and not isinstance(value, str) else value
