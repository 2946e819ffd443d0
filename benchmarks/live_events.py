"""What the benchmarks of live delivery send and expect: events, subscriptions and the messages that deliver them."""

from typing import Any, Final

import orjson

from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.live.seal import Seal

FIELDS: Final = "id position cursor type timestamp aggregateType aggregateId version userId correlationId data"
QUERY: Final = (
    "subscription Feed($filter: EventFilter, $after: String) { events(filter: $filter, after: $after)"
    f" {{ __typename ... on Event {{ {FIELDS} }} ... on CaughtUp {{ cursor }} ... on Checkpoint {{ cursor }} }} }}"
)
PLAIN: Final = f"subscription Feed {{ events {{ __typename {FIELDS} }} }}"
BEGIN: Final = 1_780_000_000_123_456
AGGREGATE: Final = "order"


def event(position: int) -> EventDocument:
    """A stored event of ordinary size."""
    return {
        "_id": position,
        "messageId": f"c0ffee00-0000-4000-8000-{position:012}",
        "type": "order.line.added",
        "timestamp": BEGIN + position,
        "recordedAt": BEGIN + position,
        "aggregateType": AGGREGATE,
        "aggregateId": aggregate(71),
        "version": position,
        "userId": "u-4711",
        "correlationId": f"c0ffee00-0000-4000-9000-{position // 3:012}",
        "data": {"sku": f"SKU-{position}", "qty": 6, "price": 19.99, "currency": "EUR", "tags": ["a", "bb", "ccc"]},
        "source": {"stream": "S", "created": "", "sequence": position},
    }


def message(number: int, of: int) -> bytes:
    """Such an event as a service publishes it; `of` is the number of its aggregate."""
    members = {key: event(number)[key] for key in ("messageId", "type", "userId", "correlationId", "data")}
    return orjson.dumps({**members, "aggregateType": AGGREGATE, "aggregateId": aggregate(of)})


def aggregate(number: int) -> str:
    """The id of an aggregate."""
    return f"order-{number:08}"


def batch(position: int, key: bytes) -> bytes:
    """The live batch with the one event at that position, sealed with the key of the log."""
    return b"".join(live_batch.encode(position - 1, [event(position)], 1_000_000, Seal(key, 1, number=position)))


def subscribe(query: str, **filter: str) -> bytes:
    """The message that subscribes to events."""
    payload = {"query": query, **({"variables": {"filter": filter}} if filter else {})}
    return orjson.dumps({"id": "1", "type": "subscribe", "payload": payload})


def text(one: EventDocument) -> str:
    """The message that delivers the event to a client."""
    fields = {
        "id": one["messageId"],
        "position": one["_id"],
        "cursor": f"e{one['_id']:x}",
        "type": one["type"],
        "timestamp": moment.to_text(one["timestamp"]),
        **{key: one.get(key) for key in ("aggregateType", "aggregateId", "version", "userId", "correlationId", "data")},
    }
    payload = {"data": {"events": {"__typename": "Event", **fields}}}
    return orjson.dumps({"id": "1", "type": "next", "payload": payload}).decode()


def same(one: bytes, other: str) -> bool:
    """Whether two messages have the same content: the order of keys is free, and so are microseconds that are 0."""
    return _content(one) == _content(other)


def _content(text: bytes | str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(text)
    fields = found["payload"]["data"]["events"]
    fields["timestamp"] = moment.from_text(fields["timestamp"])
    return found
