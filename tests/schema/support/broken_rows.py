"""Events that no ingester writes, such as edits of the database by hand might leave, and queries of them."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from tests.schema.support.example_requests import EVENT, WHOLE, body

GOOD: Mapping[str, Any] = {
    "messageId": "m1",
    "type": "a.b",
    "timestamp": 0,
    "recordedAt": 1_700_000_000_123_456,
    "version": 2**31 - 1,
    "aggregateType": "a",
    "aggregateId": "1",
    "causationId": "broken 2",
}
# documents that no ingester writes, such as edits of the database by hand might leave
BROKEN: list[dict[str, Any]] = [
    {},
    {"type": None},
    {"timestamp": "never"},
    {"timestamp": 1.5},
    {"timestamp": True},
    {"timestamp": 2**62},
    {"recordedAt": None},
    {"version": "one"},
    {"version": 2**31},
    {"version": 2.0},
    {"version": True},
    {"claimedVersion": "one"},
    {"claimedVersion": 1.5},
    {"claimedVersion": True},
    {"userId": 5},
    {"userId": ["x"]},
    {"correlationId": 1.5},
    {"aggregateType": {"x": 1}},
    {"aggregateId": 7},
    {"expireAt": "never"},
    {"data": {"x": ObjectId("0" * 24)}},
    {"metadata": b"bytes"},
    {"extensions": [None]},
    {"type": 5},
]
QUERIES_OF_BROKEN = [
    body(f"{{ events(first: 1000) {WHOLE} }}"),
    *(body(f'{{ event(id: "broken {n}") {{ {EVENT} }} }}') for n in range(1, len(BROKEN) + 1)),
    *(body(f'{{ events(first: 1, after: "e{n + 1:x}") {WHOLE} }}') for n in range(1, len(BROKEN) + 1)),
    *(body(f"{{ events(first: 30) {{ nodes {{ position {name} }} }} }}") for name in EVENT.split()),
    body("{ events(first: 30) { edges { node { id cause { id version } aggregate { id } } cursor } } }"),
    body("{ events(first: 900) { nodes { type } } }"),
    body("{ replay(first: 30) { nodes { type version timestamp } pageInfo { endCursor } totalCount { exact } } }"),
    body("{ a: events(first: 700) { nodes { type } } b: events(first: 700) { nodes { id } } }"),
]
