"""Reads the fields that have no resolver, straight from the documents of events and other values of the store.

Nothing is copied, so a field that has another name in GraphQL is read by a function.
"""

from collections.abc import Callable, Mapping
from datetime import UTC
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeGuard

from eventscope.resolvers.trace import CauseNode
from eventscope.schema import ids
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.catalogue.types import EventTypeSummary
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument

Reader = Callable[[Any], object]

KEYS: Final = {
    "message_id": "messageId",
    "recorded_at": "recordedAt",
    "aggregate_type": "aggregateType",
    "aggregate_id": "aggregateId",
    "claimed_version": "claimedVersion",
    "user_id": "userId",
    "correlation_id": "correlationId",
    "causation_id": "causationId",
}
"""Fields of an event whose members in the document have other names."""

READERS: Final[Mapping[type, Mapping[str, Reader]]] = {
    dict: {
        "id": ids.of_event,
        "position": itemgetter("_id"),
        "expires_at": lambda event: moment.of(event["expireAt"].replace(tzinfo=UTC)) if "expireAt" in event else None,
    },
    AggregateSummary: {
        "id": lambda aggregate: ids.of_aggregate(aggregate.type, aggregate.id),
        "aggregate_id": attrgetter("id"),
    },
    EventTypeSummary: {"id": lambda event_type: ids.of_event_type(event_type.type)},
    StoredRejection: {"id": lambda message: ids.of_rejected(message.number)},
    CauseNode: {"parent_id": lambda node: None if node.parent is None else ids.of_event(node.parent.event)},
}
"""Readers of fields that a source does not hold under their own names, by the source's class."""


def is_event(source: object) -> TypeGuard[EventDocument]:
    """Whether the source is an event's document; no other source is a dictionary."""
    return type(source) is dict


def read(source: Any, name: str) -> object:
    """The value of a field that has no resolver, from a source of any class."""
    reader = READERS.get(type(source), {}).get(name)
    if reader is not None:
        return reader(source)
    return source.get(KEYS.get(name, name)) if is_event(source) else getattr(source, name)
