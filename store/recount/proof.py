"""What the events of an aggregate that are still there prove of its head. No I/O.

A head outlives its events, so of one whose events have expired not all can be known. What cannot is left as it is.
"""

from collections.abc import Container, Sequence
from datetime import datetime
from typing import Any, Literal, cast

from eventscope.store.heads import AggregateName, is_deleted_after
from eventscope.store.mongo.own import PROVEN, sound
from eventscope.store.values.documents import EventDocument, Head, Mark


def proven_head(
    name: AggregateName,
    head: Head | None,
    events: Sequence[EventDocument],
    soon: datetime,
    past: datetime,
    present: Container[int],
) -> Head | None:
    """The head as it must be; None where there must be none.

    `events` are all that there are, by version. What expires `soon` may be gone already; `past` is a time of expiry for
    what is gone. From the positions that are `present` no event is gone. Members of the head that cannot be true are
    made anew from the events; without events they are left as they are.
    """
    if not events:
        return _without_events(head, soon, past)
    known = sound(head)
    oldest, newest = events[0], events[-1]
    version, first, last = newest["version"], _mark(oldest), _mark(newest)
    if {"version", "last"} <= known.keys() and known["version"] > version and known["last"]["position"] not in present:
        version, last = known["version"], known["last"]
    if "first" in known and oldest["version"] > 1 and known["first"]["position"] not in present:
        first = known["first"]
    made: Any = {
        "_id": {"type": name[0], "id": name[1]},
        "version": version,
        "first": first,
        "last": last,
        "deleted": _deleted(name[0], events, version, known.get("deleted", False)),
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
    known: datetime | None = sound(head).get(name)
    return known if known is not None and known <= soon else None


def _without_events(head: Head | None, soon: datetime, past: datetime) -> Head | None:
    if head is None:
        return None
    last = _passed(head, "expireAt", soon) or past
    first = _passed(head, "firstExpireAt", soon) or past
    known: Any = {name: value for name, value in sound(head).items() if name in PROVEN}
    # one that is damaged stays as it is, but for being counted no more
    members = {"_id": head["_id"]} | known if known.keys() == PROVEN else dict(head)
    return cast("Head", members | {"expireAt": last, "firstExpireAt": min(first, last)})


def _deleted(type: str, events: Sequence[EventDocument], version: int, before: bool) -> bool:
    """As the last events tell that have no hole among them; else as it was."""
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
