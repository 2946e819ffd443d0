"""Letters: an event's message made ready for NATS, as subject, bytes and headers. No I/O."""

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventscope.errors import BadInput
from eventscope.store.values import json_text
from eventscope.subscriptions.messages.envelope import EXPORTED, PLAIN
from eventscope.subscriptions.messages.parse import MESSAGE_ID, MOST_BYTES, MOST_EXPORTED_BYTES
from eventscope.subscriptions.nats.subjects import subject_of

# the JSON of an event as services send it, design: type, data, timestamp and what may be left out
EventMessage = dict[str, Any]

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
PLAIN_ID: Final = re.compile(r"[!-~]{1,256}")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message on its way: the same bytes and the same id each time it is sent."""

    id: str
    subject: str
    payload: bytes
    headers: dict[str, str]


def write(
    message: EventMessage, stream: str, subjects: Sequence[str], most_bytes: int, *, exported: bool = False
) -> OutgoingMessage:
    """Make a message ready for this stream; one without a messageId is given one. BadInput when it cannot be sent.

    It is plain, or in the envelope of events that were `exported` from a log.
    """
    type = message.get("type")
    if not isinstance(type, str):
        raise BadInput("the message has no type", "type")
    id = str(message.get("messageId") or uuid.uuid4())
    try:
        payload = json_text.dumps({**message, "messageId": id}, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)
    except json_text.Fault as fault:
        raise BadInput(f"the message {id[:60]!r} is not JSON: {fault}", fault.place or None) from None
    headers = {MESSAGE_ID: _header_id(id), EXPECTED_STREAM: stream, **(EXPORTED if exported else PLAIN)}
    size = len(payload) + len("NATS/1.0\r\n\r\n") + sum(len(f"{name}: {text}\r\n") for name, text in headers.items())
    most = MOST_EXPORTED_BYTES if exported else MOST_BYTES
    if len(payload) > most or size > most_bytes:
        raise BadInput(
            f"the message {id[:60]!r} has {size} bytes with its headers; {min(most, most_bytes)} are the most"
        )
    return OutgoingMessage(id, subject_of(type, subjects), payload, headers)


def _header_id(id: str) -> str:
    """What can stand in a header unchanged, or else a hash: JetStream only compares it."""
    return id if PLAIN_ID.fullmatch(id) else f"sha256:{hashlib.sha256(id.encode()).hexdigest()}"
