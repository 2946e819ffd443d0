"""Messages that would stop ingest if they were handled like others: how each becomes a rejection. No I/O."""

from dataclasses import replace
from typing import Final

from eventscope.store.values.message import Arrival, ParsedMessage, RejectedMessage
from eventscope.subscriptions.messages.parse import generated_id
from eventscope.subscriptions.nats.client import NonTextSubject

SHORT: Final = 1024  # bytes of a message, or characters of a text, that are kept of what MongoDB refuses


def is_unreadable(arrival: Arrival) -> bool:
    """Whether the subject is not text, so that the type is unknown."""
    return isinstance(arrival.subject, NonTextSubject)


def unreadable(arrival: Arrival, stream: str, reason: str) -> RejectedMessage:
    """The rejection of a message that cannot be parsed."""
    return RejectedMessage(arrival, "UNREADABLE", reason, generated_id(stream, arrival.sequence, arrival.recorded_at))


def unstorable(message: ParsedMessage, reason: str) -> RejectedMessage | None:
    """The rejection of a message that MongoDB refuses; None when it has refused every form of it.

    A message becomes a rejection; a rejection that is refused loses its headers, and then most of its bytes.
    """
    reason = _storable(reason)
    if not isinstance(message, RejectedMessage):
        return RejectedMessage(
            message.arrival, "UNSTORABLE", f"MongoDB cannot keep it: {reason}", _storable(message.id)
        )
    arrival = message.arrival
    id, storable_reason = _storable(message.id), _storable(message.reason)
    if (id, storable_reason) != (message.id, message.reason):
        return replace(message, id=id, reason=storable_reason)
    if arrival.headers:
        text = f"{message.reason}; kept without its headers, which MongoDB refuses: {reason}"
        return replace(message, arrival=replace(arrival, headers={}), reason=text[:1000])
    if len(arrival.raw) > SHORT:
        text = f"only {SHORT} of {len(arrival.raw)} bytes are kept, as MongoDB refuses it: {reason}"
        return replace(message, arrival=replace(arrival, raw=arrival.raw[:SHORT]), reason=text[:1000])
    return None


def _storable(text: str) -> str:
    """The beginning of the text, with escapes for what UTF-8 cannot encode."""
    return text[:SHORT].encode(errors="backslashreplace").decode()
