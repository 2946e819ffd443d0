"""A message on its way to the stream: its JSON, headers, subject and size. No I/O."""

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventscope.errors import BadInput
from eventscope.store.values import json_text
from eventscope.subscriptions.messages.envelope import EXPORTED, PLAIN
from eventscope.subscriptions.messages.headers import EXPECTED_STREAM, MESSAGE_ID
from eventscope.subscriptions.messages.json_body import MOST_BYTES, MOST_EXPORTED_BYTES
from eventscope.subscriptions.nats.header_block import block_size
from eventscope.subscriptions.nats.subjects import subject_of

# the JSON of an event as services send it: type, data, timestamp and the optional members
EventMessage = dict[str, Any]

ENCODING: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
PLAIN_ID: Final = re.compile(r"[!-~]{1,256}")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send: the same bytes and the same id each time it is sent."""

    id: str
    subject: str
    payload: bytes
    headers: dict[str, str]


def compose(
    message: EventMessage, stream: str, subjects: Sequence[str], most_bytes: int, *, exported: bool = False
) -> OutgoingMessage:
    """The message for this stream, with a generated messageId if it has none. BadInput when it cannot be sent.

    It is plain, or in the envelope of events that were `exported` from a log.
    """
    type = message.get("type")
    if not isinstance(type, str):
        raise BadInput("the message has no type", "type")
    id = str(message.get("messageId") or uuid.uuid4())
    name = f"the message {id[:60]!r}"
    payload = encode({**message, "messageId": id}, name)
    headers = {MESSAGE_ID: _header_id(id), EXPECTED_STREAM: stream, **(EXPORTED if exported else PLAIN)}
    check_size(name, payload, headers, MOST_EXPORTED_BYTES if exported else MOST_BYTES, most_bytes)
    return OutgoingMessage(id, subject_of(type, subjects), payload, headers)


def encode(content: EventMessage | Sequence[EventMessage], name: str) -> bytes:
    """The JSON of an event, or of several stored together. BadInput, which calls them `name`, if they are not JSON."""
    try:
        return json_text.dumps(content, option=ENCODING)
    except json_text.Fault as fault:
        raise BadInput(f"{name} is not JSON: {fault}", fault.path or None) from None


def size(payload: bytes, headers: Mapping[str, str | list[str]]) -> int:
    """The bytes that a NATS server counts against its `max_payload`."""
    return len(payload) + block_size(headers)


def check_size(name: str, payload: bytes, headers: Mapping[str, str], most_content: int, most_bytes: int) -> None:
    """Raise BadInput when the payload, or all of the message, is too large; the error calls it `name`."""
    bytes = size(payload, headers)
    if len(payload) > most_content or bytes > most_bytes:
        limit = min(most_content, most_bytes)
        raise BadInput(f"{name} has {bytes} bytes with its headers; at most {limit} are allowed")


def _header_id(id: str) -> str:
    """The id if a header carries it unchanged, else a hash of it: JetStream only compares it."""
    return id if PLAIN_ID.fullmatch(id) else f"sha256:{hashlib.sha256(id.encode()).hexdigest()}"
