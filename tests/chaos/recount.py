"""A recount, in plain Python, of all that the store derives from its events. It shares no code with the store."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

Document = dict[str, Any]
Rows = dict[tuple[Any, ...], Any]
MINUTE: Final = 60_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = timedelta(days=1)
FOREVER: Final = datetime(9999, 12, 31)


def differences(
    events: Sequence[Document], heads: Sequence[Document], rollups: Sequence[Document], populations: Sequence[Document]
) -> Iterator[tuple[str, tuple[Any, ...], Any, Any]]:
    """The wrong derived documents: name, key, the content found (None if missing), and that of a recount."""
    kept_heads: Rows = {(head["_id"]["type"], head["_id"]["id"]): _head(head) for head in heads}
    yield from _unlike("head", kept_heads, _heads(events))
    yield from _unlike("rollup", {_row_key(row["_id"]): _row(row) for row in rollups}, _rollups(events))
    counted = Counter((head["_id"]["type"], head.get("expireAt")) for head in heads)
    found: Rows = {(row["_id"]["aggregateType"], row["_id"]["expireAt"]): row["n"] for row in populations if row["n"]}
    yield from _unlike("population", found, dict(counted))


def by_aggregate(events: Iterable[Document]) -> dict[tuple[str, str], list[Document]]:
    """The events of each aggregate, in order."""
    found: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for event in events:
        if "aggregateType" in event and "aggregateId" in event:
            found[event["aggregateType"], event["aggregateId"]].append(event)
    return found


def _unlike(name: str, found: Rows, counted: Rows) -> Iterator[tuple[str, tuple[Any, ...], Any, Any]]:
    for key in [*counted, *(key for key in found if key not in counted)]:
        if found.get(key) != counted.get(key):
            yield name, key, found.get(key), counted.get(key)


def _heads(events: Sequence[Document]) -> Rows:
    return {
        key: (len(members), *_mark(members[0]), *_mark(members[-1])) for key, members in by_aggregate(events).items()
    }


def _head(head: Document) -> tuple[Any, ...]:
    first, last = ((mark["position"], mark["timestamp"], mark["type"]) for mark in (head["first"], head["last"]))
    return head["version"], *first, *last


def _mark(event: Document) -> tuple[Any, ...]:
    return event["_id"], event["timestamp"], event["type"]


def _rollups(events: Sequence[Document]) -> Rows:
    rows: dict[tuple[Any, ...], list[Document]] = defaultdict(list)
    minutes: dict[tuple[Any, ...], list[Document]] = defaultdict(list)
    for event in events:
        at, kind, expiry = event["timestamp"], (event["type"], event.get("aggregateType")), event.get("expireAt")
        rows["hour", at // HOUR * HOUR, *kind, expiry].append(event)
        rows["day", _end_of_day(expiry), *kind].append(event)
        minutes["minute", at // MINUTE * MINUTE].append(event)
    return {
        key: (len(members), *_ends(members, lambda e: e["_id"]), *_ends(members, lambda e: e["timestamp"]))
        for key, members in rows.items()
    } | {key: _ends(members, lambda e: e["_id"]) for key, members in minutes.items()}


def _end_of_day(expiry: datetime | None) -> datetime:
    if expiry is None:
        return FOREVER
    return datetime.combine(expiry - timedelta(microseconds=1), time()) + DAY


def _row(row: Document) -> tuple[int, ...]:
    ends = row["firstPosition"], row["lastPosition"]
    return ends if "minute" in row["_id"] else (row["n"], *ends, row["earliest"], row["latest"])


def _row_key(key: Document) -> tuple[Any, ...]:
    if "minute" in key:
        return "minute", key["minute"]
    kind = key["type"], key["aggregateType"]
    return ("day", key["expiryDay"], *kind) if "expiryDay" in key else ("hour", key["hour"], *kind, key["expireAt"])


def _ends(members: list[Document], value: Callable[[Document], int]) -> tuple[int, int]:
    values = [value(member) for member in members]
    return min(values), max(values)
