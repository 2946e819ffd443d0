"""What the store should answer, in plain Python over a list of events: its specification."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eventscope.store.filters.filter import All, Among, Any_, Between, Exists, Filter, Holds, Ids, Not, TypePatterns
from eventscope.store.stats.counts import Scope
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.store.support import path_model


def unexpired(events: Iterable[EventDocument], now: int) -> list[EventDocument]:
    """The events that have not expired."""
    return [event for event in events if "expireAt" not in event or _moment(event) > now]


def means(filter: Filter, event: EventDocument) -> bool:
    """Whether the filter matches the event."""
    match filter:
        case Ids(ids):
            return event["messageId"] in ids
        case TypePatterns(patterns):
            return any(fits(pattern, event["type"]) for pattern in patterns)
        case Among(field, values):
            return event.get(field) in values
        case Between("position", low, high):
            return _between(event["_id"], low, high)
        case Between("version", low, high):
            return "version" in event and _between(event["version"], low, high)
        case Between(_, low, high):
            return _between(event["timestamp"], low, high)
        case All(filters):
            return all(means(part, event) for part in filters)
        case Any_(filters):
            return any(means(part, event) for part in filters)
        case Not(unwanted):
            return not means(unwanted, event)
        case Holds(path, tests):
            return path_model.passes(event, path, tests)
        case Exists(path):
            return bool(path_model.reaches(event, path))


def fits(pattern: str, text: str) -> bool:
    """Whether the text matches the pattern, in which `*` stands for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return first == text
    if not text.startswith(first):
        return False
    remaining = text[len(first) :]
    for part in rest[:-1]:
        if part not in remaining:
            return False
        remaining = remaining.partition(part)[2] if part else remaining
    return remaining.endswith(rest[-1])


def counted_events(events: Iterable[EventDocument], scope: Scope) -> list[EventDocument]:
    """The events that the scope counts."""
    return [
        event
        for event in events
        if (scope.types is None or means(scope.types, event))
        and (scope.aggregate_types is None or event.get("aggregateType") in scope.aggregate_types)
        and _between(event["timestamp"], scope.low, scope.high)
        and all(means(one, event) for one in scope.among)
    ]


@dataclass(frozen=True, slots=True)
class ExpectedHead:
    """An aggregate, computed from the list of all events ever stored."""

    version: int
    event_count: int
    first_event_at: int
    last_event_at: int
    last_event_type: str
    deleted: bool
    first_position: int
    last_position: int


def heads(events: Sequence[EventDocument], now: int) -> dict[tuple[str, str], ExpectedHead]:
    """The aggregates of which at least one event is kept."""
    whole: dict[tuple[str, str], list[EventDocument]] = {}
    for event in events:
        if "aggregateType" in event and "aggregateId" in event:
            whole.setdefault((event["aggregateType"], event["aggregateId"]), []).append(event)
    return {name: _head(name[0], members, left) for name, members in whole.items() if (left := unexpired(members, now))}


def _head(type: str, members: list[EventDocument], left: list[EventDocument]) -> ExpectedHead:
    deleted = False
    for event in members:
        if event["type"] == f"{type}.deleted":
            deleted = True
        elif event["type"] in {f"{type}.created", f"{type}.renamed", f"{type}.restored"}:
            deleted = False
    return ExpectedHead(
        version=len(members),
        event_count=len(left),
        first_event_at=left[0]["timestamp"],
        last_event_at=left[-1]["timestamp"],
        last_event_type=left[-1]["type"],
        deleted=deleted,
        first_position=members[0]["_id"],
        last_position=members[-1]["_id"],
    )


def _moment(event: EventDocument) -> int:
    return moment.of(event["expireAt"].replace(tzinfo=moment.EPOCH.tzinfo))


def _between(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)
