"""What the remaining events of an aggregate prove about its head. No I/O.

A head outlives its events, so after some have expired, not everything can be proven. What cannot be proven stays as it
is.
"""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any, Literal, cast

from eventscope.store.heads import AggregateName, is_deleted_after
from eventscope.store.mongo.shapes import HEAD_MEMBERS, sound
from eventscope.store.values.documents import EventDocument, Head, Mark


def proven_head(
    name: AggregateName,
    head: Head | None,
    events: Sequence[EventDocument],
    soon: datetime,
    past: datetime,
    present: Container[int],
) -> Head | None:
    """The correct head; None if there must be none.

    `events` are all existing events, by version. Events that expire by `soon` may be deleted already; `past` serves as
    the expiry of deleted events. No event is missing at the positions in `present`. Members of the head that cannot be
    true are rebuilt from the events; without events they stay as they are.
    """
    if not events:
        return _without_events(head, soon, past)
    members = sound(head)
    oldest, newest = events[0], events[-1]
    version, first, last = newest["version"], _mark(oldest), _mark(newest)
    if (
        {"version", "last"} <= members.keys()
        and members["version"] > version
        and members["last"]["position"] not in present
    ):
        version, last = members["version"], members["last"]
    if "first" in members and oldest["version"] > 1 and members["first"]["position"] not in present:
        first = members["first"]
    proven: Any = {
        "_id": {"type": name[0], "id": name[1]},
        "version": version,
        "first": first,
        "last": last,
        "deleted": _is_deleted(name[0], events, version, members.get("deleted", False)),
    }
    expiries = [event["expireAt"] for event in events if "expireAt" in event]
    if len(events) == version:
        if expiries:
            proven["firstExpireAt"] = min(expiries)
    else:
        proven["firstExpireAt"] = _past_time(head, "firstExpireAt", soon) or min([past, *expiries])
    if len(expiries) == len(events):
        proven["expireAt"] = max(expiries)
        if len(events) < version and max(expiries) <= soon:
            proven["expireAt"] = _past_time(head, "expireAt", soon) or max(expiries)
    return cast("Head", proven)


def _past_time(head: Head | None, name: Literal["expireAt", "firstExpireAt"], soon: datetime) -> datetime | None:
    """The time in that member of the head, if it has passed."""
    time: datetime | None = sound(head).get(name)
    return time if time is not None and time <= soon else None


def _without_events(head: Head | None, soon: datetime, past: datetime) -> Head | None:
    if head is None:
        return None
    last = _past_time(head, "expireAt", soon) or past
    first = _past_time(head, "firstExpireAt", soon) or past
    sound_members: Any = {name: value for name, value in sound(head).items() if name in HEAD_MEMBERS}
    # a damaged head stays as it is, but is no longer counted
    members = {"_id": head["_id"]} | sound_members if sound_members.keys() == HEAD_MEMBERS else dict(head)
    return cast("Head", members | {"expireAt": last, "firstExpireAt": min(first, last)})


def _is_deleted(type: str, events: Sequence[EventDocument], version: int, before: bool) -> bool:
    """Whether the aggregate is deleted, by its last events without a gap; `before` is the state before these."""
    start = len(events)
    expected = version
    while start and events[start - 1]["version"] == expected:
        start, expected = start - 1, expected - 1
    state = before if expected else False
    for event in events[start:]:
        state = is_deleted_after(state, type, event["type"])
    return state


def _mark(event: Any) -> Mark:
    return {"position": event["_id"], "timestamp": event["timestamp"], "type": event["type"]}
