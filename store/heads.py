"""Aggregate heads: how one event moves the head of its aggregate. No I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from eventscope.store.values.documents import EventDocument, Head, Mark

AggregateName: TypeAlias = tuple[str, str]

# verbs of an aggregate's own events (`user.created`) after which a deleted aggregate exists again
BRINGS_BACK: Final = frozenset({"created", "renamed", "restored"})


def name(fields: Mapping[str, Any]) -> AggregateName | None:
    """The type and id of the event's aggregate; None unless the event names both."""
    type, id = fields.get("aggregateType"), fields.get("aggregateId")
    return None if type is None or id is None else (type, id)


def advance(head: Head | None, event: EventDocument) -> Head:
    """The head after one more event, which already has its version."""
    mark: Mark = {"position": event["_id"], "timestamp": event["timestamp"], "type": event["type"]}
    aggregate_type = event["aggregateType"]
    after: Head = {
        "_id": {"type": aggregate_type, "id": event["aggregateId"]},
        "version": event["version"],
        "first": mark if head is None else head["first"],
        "last": mark,
        "deleted": is_deleted_after(head is not None and head["deleted"], aggregate_type, event["type"]),
    }
    expiry = event.get("expireAt")
    first_expiry = None if head is None else head.get("firstExpireAt")
    if expiry is not None:
        after["firstExpireAt"] = expiry if first_expiry is None else min(expiry, first_expiry)
    elif first_expiry is not None:
        after["firstExpireAt"] = first_expiry
    if expiry is not None and (head is None or "expireAt" in head):
        after["expireAt"] = expiry if head is None else max(expiry, head["expireAt"])
    return after


def population(head: Head) -> tuple[str, datetime | None]:
    """The counter that counts the aggregate while it has events: its type, and the expiry of its last event."""
    return head["_id"]["type"], head.get("expireAt")


def is_deleted_after(before: bool, aggregate_type: str, event_type: str) -> bool:
    # only the aggregate's own events count: `user.integration.deleted` does not delete the user
    own, _, verb = event_type.rpartition(".")
    if own != aggregate_type:
        return before
    return verb == "deleted" or (before and verb not in BRINGS_BACK)
