"""Reading a message: from the bytes that came over NATS to the fields of an event, or to the reason why not. No I/O."""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from typing import Any, Final

from eventscope.store.values import json_text, moment
from eventscope.store.values.message import (
    ANY_VERSION,
    AcceptedMessage,
    Arrival,
    MessageGroup,
    ParsedMessage,
    RejectedMessage,
)
from eventscope.subscriptions.messages import conversion, versions
from eventscope.subscriptions.messages.cloud_event import EXPECTED
from eventscope.subscriptions.messages.contents import Contents, WrongEnvelope
from eventscope.subscriptions.messages.envelope import (
    EXPORTED,
    STATED,
    MessageEnvelope,
    content_headers,
    unwrap_whole,
    unwrapper,
)
from eventscope.subscriptions.messages.headers import IDS, MESSAGE_ID, OWN_ID
from eventscope.subscriptions.messages.invalid_message import InvalidMessage
from eventscope.subscriptions.messages.versions import VersionUse

MOST_BYTES: Final = 1024 * 1024
MOST_DEPTH: Final = 100
# of an event of another log: its JSON is written anew, by which numbers get longer, and its extensions lie deeper
MOST_EXPORTED_BYTES: Final = 4 * MOST_BYTES
MOST_BESIDE: Final = 4 * MOST_BYTES  # of what a mapping gives to each event of one message, from beside its bytes
MOST_TOGETHER: Final = 1000  # events in one message, and so in one transaction
MOST_TEXT: Final = 1024  # of an id or a type: MongoDB and people must be able to handle them as keys

TEXTS: Final = ("messageId", "aggregateType", "aggregateId", "correlationId", "causationId", "userId")
KNOWN: Final = frozenset({*TEXTS, "type", "timestamp", "version", "data", "metadata"})

CLAIMS: Final = ("version", "claimedVersion")
NESTED: Final = frozenset({dict, list})
DATABASE: Final = b"$db"
ESCAPED: Final = rb"\u00"  # begins all of the next
HIDDEN: Final = (rb"\u0000", rb"\u0024", rb"\u0064", rb"\u0062")  # NUL in JSON, and what may hide that key
TYPE: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


def parse_message(
    arrival: Arrival,
    stream: str,
    subject_type: str | None,
    envelope: MessageEnvelope | None = None,
    use: VersionUse = "claim",
) -> ParsedMessage:
    """Understand a message, or say why it cannot be taken.

    `subject_type` is the type that its subject names, `envelope` what is set for its subject, if anything is, and `use`
    what a `version` in its messages is. A list of messages is one message: all of it is taken, or nothing.
    """
    content: Any = None
    if names := content_headers(envelope):
        arrival = replace(arrival, decisive=names)
    if arrival.headers.get(STATED) == EXPORTED[STATED]:
        use = "claim"  # as another log gave it, which need not be as this one does
    try:
        content = _opened(arrival, envelope)
        if isinstance(content, list):
            return _together(arrival, stream, content, subject_type, use)
        [expected] = versions.expected_versions(arrival.headers, 1)
        return _understood(arrival, stream, content, expected, subject_type, use)
    except InvalidMessage as refusal:
        return RejectedMessage(arrival, refusal.code, refusal.reason, _any_id(arrival, stream, content), refusal.index)


def _opened(arrival: Arrival, envelope: MessageEnvelope | None) -> Any:
    loads: Callable[[bytes], Any] = _json
    match arrival.headers.get(STATED):
        case "plain":
            envelope = "plain"
        case "exported":
            envelope, loads = "exported", _exported_json
    try:
        whole = unwrap_whole(envelope, arrival, loads)
        if whole is not None:
            return whole
        content = loads(arrival.raw)
        opened = unwrapper(envelope, arrival, loads)
        if isinstance(content, list):
            return [opened(one, index) if isinstance(one, dict) else one for index, one in enumerate(content)]
        return opened(content, None) if isinstance(content, dict) else content
    except WrongEnvelope as error:
        raise InvalidMessage("WRONG_ENVELOPE", f"{error}; EVENTSCOPE_ENVELOPES sets envelopes by subject") from None


def _together(
    arrival: Arrival, stream: str, contents: list[Any], subject_type: str | None, use: VersionUse
) -> MessageGroup:
    if not 0 < len(contents) <= MOST_TOGETHER:
        raise InvalidMessage("WRONG_COUNT", f"{len(contents)} events came together; there may be 1 to {MOST_TOGETHER}")
    messages = []
    stated = versions.expected_versions(arrival.headers, len(contents))
    for index, (content, expected) in enumerate(zip(contents, stated, strict=True)):
        try:
            messages.append(_understood(arrival, stream, content, expected, subject_type, use, index))
        except InvalidMessage as refusal:
            refusal.index = index
            refusal.reason = f"event {index + 1} of {len(contents)}: {refusal.reason}"
            raise
    size = sum(message.beside_bytes for message in messages)
    if size > MOST_BESIDE:
        reason = f"{len(contents)} events came together, with {size} bytes of headers and subjects in them"
        raise InvalidMessage("TOO_LARGE", f"{reason}; at most {MOST_BESIDE} are allowed")
    return MessageGroup(arrival, tuple(messages))


def _understood(
    arrival: Arrival,
    stream: str,
    content: Any,
    expected: int | None,
    subject_type: str | None,
    use: VersionUse,
    index: int | None = None,
) -> AcceptedMessage:
    if not isinstance(content, Contents):
        return _accepted(arrival, stream, content, expected, subject_type, use, index)
    if content.problem is not None:
        raise InvalidMessage(*content.problem)
    if expected is ANY_VERSION and content.expected is not None:
        expected = versions.expectation(EXPECTED, content.expected)
    try:
        return _accepted(arrival, stream, content.members, expected, subject_type, use, index, content)
    except InvalidMessage as refusal:
        name = refusal.member
        if name is not None and name in content.sources:
            found = conversion.excerpt(content.members[name])
            refusal.reason += f"; {name} is mapped from {content.sources[name]}, which is {found}"
        raise


def _accepted(
    arrival: Arrival,
    stream: str,
    message: Any,
    expected: int | None,
    subject_type: str | None,
    use: VersionUse,
    index: int | None = None,
    envelope: Contents | None = None,
) -> AcceptedMessage:
    if not isinstance(message, dict):
        raise InvalidMessage("NOT_AN_OBJECT", f"the message is JSON, but {conversion.kind(message)} and not an object")
    fields: dict[str, Any] = {"type": _type(message.get("type"), subject_type)}
    for name in TEXTS:
        text = message.get(name)
        if text is not None and (text := _text(name, text)) is not None:
            fields[name] = text
    if "messageId" not in fields:
        fields["messageId"] = _outer_id(arrival, stream) + ("" if index is None else f":{index}")
    timestamp = _timestamp(message.get("timestamp"))
    fields["timestamp"] = arrival.recorded_at if timestamp is None else timestamp
    for name in ("data", "metadata"):
        if message.get(name) is not None:
            fields[name] = message[name]
    extensions = {name: value for name, value in message.items() if name not in KNOWN}
    if envelope is not None:
        extensions |= envelope.extensions
    claim = _free(extensions) if envelope is None or envelope.claims else None
    claimed: int | None = None
    if (version := message.get("version")) is not None:
        if use == "expect" and expected is ANY_VERSION:
            expected = versions.before(version)
        elif type(version) is int:
            claimed = version
        else:  # a version of something else, as of a schema
            claim = _free(extensions)
            extensions[claim] = version
    if extensions:
        fields["extensions"] = extensions
    if expected is not ANY_VERSION and not ("aggregateType" in fields and "aggregateId" in fields):
        raise InvalidMessage(
            "NO_AGGREGATE", "a version was expected, but aggregateType and aggregateId do not say of what"
        )
    beside = 0 if envelope is None else envelope.beside_bytes
    return AcceptedMessage(arrival, fields, expected, timestamp is not None, claimed, claim=claim, beside_bytes=beside)


def _free(extensions: Mapping[str, Any]) -> str:
    """The name that a claimed version has among them, where it is no integer."""
    if CLAIMS[0] not in extensions:  # as nearly always
        return CLAIMS[0]
    others = (f"claimedVersion{n}" for n in count(2))
    return next(name for name in chain(CLAIMS, others) if name not in extensions)


def _outer_id(arrival: Arrival, stream: str) -> str:
    return _stated_id(arrival.headers) or generated_id(stream, arrival.sequence, arrival.recorded_at)


def _any_id(arrival: Arrival, stream: str, content: Any) -> str:
    # of what is wrong anyway: an id that cannot be used is as good as none
    members = content.members if isinstance(content, Contents) else content
    for given in (members.get("messageId") if isinstance(members, dict) else None, *map(arrival.headers.get, IDS)):
        with suppress(InvalidMessage):
            if id := _text("messageId", given):
                return id
    return generated_id(stream, arrival.sequence, arrival.recorded_at)


def _exported_json(raw: bytes) -> Any:
    return _json(raw, MOST_EXPORTED_BYTES, MOST_DEPTH + 1)


def _json(raw: bytes, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH) -> Any:
    if len(raw) > most_bytes:
        raise InvalidMessage("TOO_LARGE", f"the message has {len(raw)} bytes; at most {most_bytes} are allowed")
    try:
        message = json_text.loads(raw)
    except json_text.Fault as fault:
        raise InvalidMessage(fault.code, _why(fault)) from None
    hidden = ESCAPED in raw and any(one in raw for one in HIDDEN)
    if hidden or DATABASE in raw or raw.count(b"{") + raw.count(b"[") > most_depth:
        # a list of messages is a level of its own
        _check(message, most_depth + 1 if isinstance(message, list) else most_depth)
    return message


def _why(fault: json_text.Fault) -> str:
    match fault.code:
        case "TOO_DEEP":
            return f"the message is nested over {MOST_DEPTH} deep"
        case "INVALID_JSON":
            return f"the message is not JSON: {fault}"
        case _:
            return str(fault)


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise InvalidMessage("TOO_DEEP", f"the message is nested over {MOST_DEPTH} deep")
    if isinstance(value, dict):
        for key, member in value.items():
            if "\0" in key:
                raise InvalidMessage("INVALID_KEY", f"the key {key[:60]!r} holds a NUL, which MongoDB cannot keep")
            if type(member) in NESTED:
                _check(member, depth - 1)
        if "$id" in value and value.get("$db", "") is None and isinstance(value.get("$ref"), str):
            reason = "the key '$db' is null beside '$ref' and '$id', and MongoDB's drivers would not give it back"
            raise InvalidMessage("INVALID_KEY", reason)
    elif isinstance(value, list):
        for member in value:
            if type(member) in NESTED:
                _check(member, depth - 1)


def _type(given: object, subject_type: str | None) -> str:
    type = subject_type if given is None else given
    if type is None:
        raise InvalidMessage("MISSING_TYPE", "neither the message nor its subject names a type")
    if not isinstance(type, str) or len(type) > MOST_TEXT or "\0" in type or not TYPE.fullmatch(type):
        shown = repr(type[:60]) if isinstance(type, str) else conversion.excerpt(type)
        reason = f"the type {shown} is not words joined by dots, as a NATS subject would be"
        raise InvalidMessage("INVALID_TYPE", reason, "type")
    return type


def _text(name: str, value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MOST_TEXT:
        return value
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # ids that are numbers elsewhere
    if not isinstance(value, str):
        raise InvalidMessage("INVALID_FIELD", f"{name} is {conversion.kind(value)} and not a string", name)
    raise InvalidMessage("INVALID_FIELD", f"{name} has {len(value)} characters; at most {MOST_TEXT} are allowed", name)


def _timestamp(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str):
        hint = "; a mapping reads numbers with `as`: `milliseconds`" if type(value) in (int, float) else ""
        reason = f"timestamp is {conversion.kind(value)} and not a time like 2026-11-23T07:00:00Z{hint}"
        raise InvalidMessage("INVALID_TIMESTAMP", reason, "timestamp")
    try:
        return moment.from_text(value)
    except ValueError as error:
        raise InvalidMessage("INVALID_TIMESTAMP", f"timestamp: {error}", "timestamp") from None


def _stated_id(headers: Mapping[str, str]) -> str | None:
    return _text(OWN_ID, headers.get(OWN_ID)) or _text(MESSAGE_ID, headers.get(MESSAGE_ID))


def generated_id(stream: str, sequence: int, recorded_at: int) -> str:
    """The id of a message that names none, made of its place in the stream."""
    # no part of it changes when a stream is read again, and a reused sequence has another timestamp
    return hashlib.sha256(f"{stream}\n{sequence}\n{recorded_at}".encode()).hexdigest()[:32]
