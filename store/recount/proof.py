"""What the events of an aggregate that are still there prove of its head. No I/O.

A head outlives its events, so of one whose events have expired not all can be known. What cannot is left as it is.
"""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any, Final, Literal, cast

from eventscope.store.documents import Event, Head, Mark
from eventscope.store.heads import Name, deleted

EXPIRIES: Final = frozenset({"expireAt", "firstExpireAt"})


def settled(
    name: Name, head: Head | None, events: Sequence[Event], soon: datetime, past: datetime, present: Container[int]
) -> Head | None:
    """The head as it must be; None where there must be none.

    `events` are all that there are, by version. What expires `soon` may be gone already; `past` is a time of expiry for
    what is gone. From the positions that are `present` no event is gone.
    """
    if not events:
        return _without_events(head, soon, past)
    oldest, newest = events[0], events[-1]
    version, first, last = newest["version"], _mark(oldest), _mark(newest)
    if head is not None and head["version"] > version and head["last"]["position"] not in present:
        version, last = head["version"], head["last"]
    if head is not None and oldest["version"] > 1 and head["first"]["position"] not in present:
        first = head["first"]
    made: Any = {} if head is None else {field: value for field, value in head.items() if field not in EXPIRIES}
    made |= {
        "_id": {"type": name[0], "id": name[1]},
        "version": version,
        "first": first,
        "last": last,
        "deleted": _deleted(name[0], events, version, head is not None and head["deleted"]),
    }
    expiries = [event["expireAt"] for event in events if "expireAt" in event]
    if len(events) == version:
        if expiries:
            made["firstExpireAt"] = min(expiries)
    else:
        made["firstExpireAt"] = _passed(head, "firstExpireAt", soon) or min([past, *expiries])
    if len(expiries) == len(events):
        made["expireAt"] = max(expiries)
        if len(events) < version and max(expiries) <= soon:
            made["expireAt"] = _passed(head, "expireAt", soon) or max(expiries)
    return cast("Head", made)


def _passed(head: Head | None, name: Literal["expireAt", "firstExpireAt"], soon: datetime) -> datetime | None:
    """That time of the head, if it has passed."""
    known = None if head is None else head.get(name)
    return known if known is not None and known <= soon else None


def _without_events(head: Head | None, soon: datetime, past: datetime) -> Head | None:
    if head is None:
        return None
    last = _passed(head, "expireAt", soon) or past
    first = _passed(head, "firstExpireAt", soon) or past
    settled = head.copy()
    settled["expireAt"], settled["firstExpireAt"] = last, min(first, last)
    return settled


def _deleted(type: str, events: Sequence[Event], version: int, before: bool) -> bool:
    """As the last events tell that have no hole among them; else as it was."""
    start = len(events)
    expected = version
    while start and events[start - 1]["version"] == expected:
        start, expected = start - 1, expected - 1
    state = before if expected else False
    for event in events[start:]:
        state = deleted(state, type, event["type"])
    return state


def _mark(event: Any) -> Mark:
    return {"position": event["_id"], "timestamp": event["timestamp"], "type": event["type"]}
