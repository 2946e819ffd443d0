"""Aggregate heads: how one event moves the head of its aggregate. No I/O."""

from datetime import datetime
from typing import Final

from eventscope.store.documents import Event, Head, HeadKey, Mark

# verbs of an aggregate's own events (`user.created`) that say that it exists again
BRINGS_BACK: Final = frozenset({"created", "renamed", "restored"})


def key(event: Event) -> HeadKey | None:
    """The aggregate that the event belongs to; None for an event that names none."""
    type, id = event.get("aggregateType"), event.get("aggregateId")
    return None if type is None or id is None else {"type": type, "id": id}


def advance(head: Head | None, event: Event) -> Head:
    """The head after one more event, which already carries the next version."""
    mark: Mark = {"position": event["_id"], "timestamp": event["timestamp"], "type": event["type"]}
    aggregate = {"type": event["aggregateType"], "id": event["aggregateId"]}
    moved: Head = {
        "_id": HeadKey(type=aggregate["type"], id=aggregate["id"]),
        "version": event["version"],
        "first": mark if head is None else head["first"],
        "last": mark,
        "deleted": _deleted(head is not None and head["deleted"], aggregate["type"], event["type"]),
    }
    expiry = event.get("expireAt")
    ends = [] if expiry is None else [expiry]
    if head is not None and "firstExpireAt" in head:
        ends.append(head["firstExpireAt"])
    if ends:
        moved["firstExpireAt"] = min(ends)
    if expiry is not None and (head is None or "expireAt" in head):
        moved["expireAt"] = expiry if head is None else max(expiry, head["expireAt"])
    return moved


def population(head: Head) -> tuple[str, datetime | None]:
    """The counter that an aggregate is counted in while it has events: its type and when its last one expires."""
    return head["_id"]["type"], head.get("expireAt")


def _deleted(before: bool, aggregate_type: str, event_type: str) -> bool:
    # only the aggregate's own events tell: `user.integration.deleted` leaves the user alive
    own, _, verb = event_type.rpartition(".")
    if own != aggregate_type:
        return before
    return verb == "deleted" or (before and verb not in BRINGS_BACK)
