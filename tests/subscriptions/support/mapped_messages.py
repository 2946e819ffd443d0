"""Messages opened by a mapping, as the ingester would open them."""

from typing import Any

import orjson

from eventscope import envelopes
from eventscope.store.values.message import AcceptedMessage, Arrival
from eventscope.subscriptions.messages.mapping import Mapper
from eventscope.subscriptions.messages.parse import parse_message


def open_message(mapping: Any, content: object, subject: str = "events.a.b", **headers: str) -> Any:
    """The result of parsing the message."""
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    mapper = Mapper(envelopes.mapping(mapping))
    return parse_message(Arrival(subject, headers, raw, 5, 1), "EVENTS", subject.partition(".")[2], mapper)


def fields(mapping: Any, content: object, subject: str = "events.a.b", **headers: str) -> dict[str, Any]:
    """The fields of the event that the message becomes."""
    message = open_message(mapping, content, subject, **headers)
    assert isinstance(message, AcceptedMessage), message
    return dict(message.fields)
