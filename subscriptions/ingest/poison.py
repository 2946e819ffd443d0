"""Messages that would stop the log if they were treated like others: how each is kept as a rejection. No I/O."""

from dataclasses import replace
from typing import Final

from eventscope.store.values.message import Arrival, ParsedMessage, RejectedMessage
from eventscope.subscriptions.messages.parse import generated_id
from eventscope.subscriptions.nats.client import NonTextSubject

SHORT: Final = 1024  # bytes of a message, and characters of a text, that MongoDB does not take whole


def is_unreadable(arrival: Arrival) -> bool:
    """Whether its subject is no text, so that nobody can tell what it says."""
    return isinstance(arrival.subject, NonTextSubject)


def unreadable(arrival: Arrival, stream: str, reason: str) -> RejectedMessage:
    """The rejection of a message that cannot be read."""
    return RejectedMessage(arrival, "UNREADABLE", reason, generated_id(stream, arrival.sequence, arrival.recorded_at))


def unstorable(message: ParsedMessage, reason: str) -> RejectedMessage | None:
    """The rejection of a message that MongoDB refuses; None when it has refused all that could be kept of it.

    A message becomes a rejection; a rejection that is refused itself loses its headers, and then most of its bytes.
    """
    reason = _storable(reason)
    if not isinstance(message, RejectedMessage):
        return RejectedMessage(
            message.arrival, "UNSTORABLE", f"MongoDB cannot keep it: {reason}", _storable(message.id)
        )
    arrival = message.arrival
    id, why = _storable(message.id), _storable(message.reason)
    if (id, why) != (message.id, message.reason):
        return replace(message, id=id, reason=why)
    if arrival.headers:
        without = f"{message.reason}; kept without its headers, which MongoDB refuses: {reason}"
        return replace(message, arrival=replace(arrival, headers={}), reason=without[:1000])
    if len(arrival.raw) > SHORT:
        cut = f"only {SHORT} of {len(arrival.raw)} bytes are kept, as MongoDB refuses it: {reason}"
        return replace(message, arrival=replace(arrival, raw=arrival.raw[:SHORT]), reason=cut[:1000])
    return None


def _storable(text: str) -> str:
    """The beginning of the text, with what UTF-8 has no bytes for written as an escape."""
    return text[:SHORT].encode(errors="backslashreplace").decode()
