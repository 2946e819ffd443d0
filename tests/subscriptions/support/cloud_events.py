"""CloudEvents as the ingester reads them, in structured and in binary mode."""

from typing import Any
from urllib.parse import quote

import orjson

from eventscope.store.values.message import Arrival
from eventscope.subscriptions.messages.parse import parse_message

# the example of the specification, with the extensions for correlation and auth context
CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "com.example.user.created",
    "source": "/users",
    "subject": "42",
    "id": "A234-1234-1234",
    "time": "2026-11-23T07:00:00.5Z",
    "datacontenttype": "application/json",
    "aggregatetype": "user",
    "correlationid": "c",
    "causationid": "x",
    "authid": "ada",
    "data": {"name": "Ada"},
}
FIELDS = {
    "type": "com.example.user.created",
    "messageId": "/users#A234-1234-1234",
    "aggregateType": "user",
    "aggregateId": "42",
    "correlationId": "c",
    "causationId": "x",
    "userId": "ada",
    "timestamp": 1795417200500000,
    "data": {"name": "Ada"},
}
REQUIRED = {"specversion": "1.0", "source": "s", "id": "1", "type": "a.b"}


def read(content: object, **headers: str) -> Any:
    """The result of parsing the message."""
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    return parse_message(Arrival("events.a.b", headers, raw, 5, 1), "EVENTS", "a.b", "cloudevents")


def read_binary(raw: bytes, attributes: dict[str, str], **headers: str) -> Any:
    """The result of parsing a message with these attributes in its headers, and these bytes as data."""
    return read(raw, **{f"ce-{name}": quote(v, safe="/:") for name, v in attributes.items()}, **headers)
