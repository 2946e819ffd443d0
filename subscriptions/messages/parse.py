"""Parsing a message: from its bytes to the fields of an event, or to the reason for its rejection. No I/O."""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain, count
from typing import Any, Final

from eventscope.store.values import moment
from eventscope.store.values.message import (
    ANY_VERSION,
    ENVELOPE,
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
    MessageEnvelope,
    content_headers,
    unwrap_whole,
    unwrapper,
)
from eventscope.subscriptions.messages.headers import IDS, MESSAGE_ID, OWN_ID
from eventscope.subscriptions.messages.invalid_message import InvalidMessage
from eventscope.subscriptions.messages.json_body import MOST_BYTES, load, load_exported
from eventscope.subscriptions.messages.versions import VersionUse

MOST_BESIDE: Final = 4 * MOST_BYTES  # of values from headers and subject in all events of one message
MOST_TOGETHER: Final = 1000  # events in one message, and so in one transaction
MOST_TEXT: Final = 1024  # characters of an id or a type, which MongoDB and people must handle as keys

TEXTS: Final = ("messageId", "aggregateType", "aggregateId", "correlationId", "causationId", "userId")
EVENT_MEMBERS: Final = frozenset({*TEXTS, "type", "timestamp", "version", "data", "metadata"})

CLAIMS: Final = ("version", "claimedVersion")
TYPE: Final = re.compile(r"[^\s.*>]+(\.[^\s.*>]+)*")


def parse_message(
    arrival: Arrival,
    stream: str,
    subject_type: str | None,
    envelope: MessageEnvelope | None = None,
    use: VersionUse = "claim",
) -> ParsedMessage:
    """The message as the events it makes, or as a rejection.

    `subject_type` is the type that its subject names, `envelope` the one that is set for its subject, if any, and `use`
    what a `version` in it means. A list makes one group of events: all of them are stored, or none.
    """
    content: Any = None
    if names := content_headers(envelope):
        arrival = replace(arrival, decisive=names)
    if arrival.headers.get(ENVELOPE) == EXPORTED[ENVELOPE]:
        use = "claim"  # another log assigned it, and this one may assign others
    try:
        content = _unwrap(arrival, envelope)
        if isinstance(content, list):
            return _group(arrival, stream, content, subject_type, use)
        [expected] = versions.expected_versions(arrival.headers, 1)
        return _accept(arrival, stream, content, expected, subject_type, use)
    except InvalidMessage as fault:
        return RejectedMessage(arrival, fault.code, fault.reason, _any_id(arrival, stream, content), fault.index)


def _unwrap(arrival: Arrival, envelope: MessageEnvelope | None) -> Any:
    loads: Callable[[bytes], Any] = load
    match arrival.headers.get(ENVELOPE):
        case "plain":
            envelope = "plain"
        case "exported":
            envelope, loads = "exported", load_exported
    try:
        whole = unwrap_whole(envelope, arrival, loads)
        if whole is not None:
            return whole
        content = loads(arrival.raw)
        unwrap = unwrapper(envelope, arrival, loads)
        if isinstance(content, list):
            return [unwrap(one, index) if isinstance(one, dict) else one for index, one in enumerate(content)]
        return unwrap(content, None) if isinstance(content, dict) else content
    except WrongEnvelope as error:
        raise InvalidMessage("WRONG_ENVELOPE", f"{error}; EVENTSCOPE_ENVELOPES sets envelopes by subject") from None


def _group(
    arrival: Arrival, stream: str, contents: list[Any], subject_type: str | None, use: VersionUse
) -> MessageGroup:
    if not 0 < len(contents) <= MOST_TOGETHER:
        raise InvalidMessage("WRONG_COUNT", f"the list has {len(contents)} events; it may have 1 to {MOST_TOGETHER}")
    messages = []
    expectations = versions.expected_versions(arrival.headers, len(contents))
    for index, (content, expected) in enumerate(zip(contents, expectations, strict=True)):
        try:
            messages.append(_accept(arrival, stream, content, expected, subject_type, use, index))
        except InvalidMessage as fault:
            fault.index = index
            fault.reason = f"event {index + 1} of {len(contents)}: {fault.reason}"
            raise
    size = sum(message.beside_bytes for message in messages)
    if size > MOST_BESIDE:
        reason = f"the list of {len(contents)} events has {size} bytes from headers and subjects"
        raise InvalidMessage("TOO_LARGE", f"{reason}; at most {MOST_BESIDE} are allowed")
    return MessageGroup(arrival, tuple(messages))


def _accept(
    arrival: Arrival,
    stream: str,
    content: Any,
    expected: int | None,
    subject_type: str | None,
    use: VersionUse,
    index: int | None = None,
) -> AcceptedMessage:
    if not isinstance(content, Contents):
        return _accept_members(arrival, stream, content, expected, subject_type, use, index)
    if content.problem is not None:
        raise InvalidMessage(*content.problem)
    if expected is ANY_VERSION and content.expected is not None:
        expected = versions.expectation(EXPECTED, content.expected)
    try:
        return _accept_members(arrival, stream, content.members, expected, subject_type, use, index, content)
    except InvalidMessage as fault:
        name = fault.member
        if name is not None and name in content.sources:
            value = conversion.excerpt(content.members[name])
            fault.reason += f"; {name} is mapped from {content.sources[name]}, which is {value}"
        raise


def _accept_members(
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
        fields["messageId"] = _id_without_member(arrival, stream) + ("" if index is None else f":{index}")
    timestamp = _timestamp(message.get("timestamp"))
    fields["timestamp"] = arrival.recorded_at if timestamp is None else timestamp
    for name in ("data", "metadata"):
        if message.get(name) is not None:
            fields[name] = message[name]
    extensions = {name: value for name, value in message.items() if name not in EVENT_MEMBERS}
    if envelope is not None:
        extensions |= envelope.extensions
    claim = _free(extensions) if envelope is None or envelope.claims else None
    claimed: int | None = None
    if (version := message.get("version")) is not None:
        if use == "expect" and expected is ANY_VERSION:
            expected = versions.before(version)
        elif type(version) is int:
            claimed = version
        else:  # the version of something else, such as a schema
            claim = _free(extensions)
            extensions[claim] = version
    if extensions:
        fields["extensions"] = extensions
    if expected is not ANY_VERSION and not ("aggregateType" in fields and "aggregateId" in fields):
        raise InvalidMessage(
            "NO_AGGREGATE", "a version is expected, but aggregateType and aggregateId do not name the aggregate"
        )
    beside = 0 if envelope is None else envelope.beside_bytes
    return AcceptedMessage(arrival, fields, expected, timestamp is not None, claimed, claim=claim, beside_bytes=beside)


def _free(extensions: Mapping[str, Any]) -> str:
    """The name under which a claimed version that is not an integer becomes an extension."""
    if CLAIMS[0] not in extensions:  # nearly always
        return CLAIMS[0]
    others = (f"claimedVersion{n}" for n in count(2))
    return next(name for name in chain(CLAIMS, others) if name not in extensions)


def _id_without_member(arrival: Arrival, stream: str) -> str:
    return _header_id(arrival.headers) or generated_id(stream, arrival.sequence, arrival.recorded_at)


def _any_id(arrival: Arrival, stream: str, content: Any) -> str:
    # for a rejection: an id that cannot be used counts as missing
    members = content.members if isinstance(content, Contents) else content
    for id in (members.get("messageId") if isinstance(members, dict) else None, *map(arrival.headers.get, IDS)):
        with suppress(InvalidMessage):
            if text := _text("messageId", id):
                return text
    return generated_id(stream, arrival.sequence, arrival.recorded_at)


def _type(value: object, subject_type: str | None) -> str:
    type = subject_type if value is None else value
    if type is None:
        raise InvalidMessage("MISSING_TYPE", "neither the message nor its subject names a type")
    if not isinstance(type, str) or len(type) > MOST_TEXT or "\0" in type or not TYPE.fullmatch(type):
        excerpt = repr(type[:60]) if isinstance(type, str) else conversion.excerpt(type)
        reason = f"the type {excerpt} is not words joined by dots, as a NATS subject would be"
        raise InvalidMessage("INVALID_TYPE", reason, "type")
    return type


def _text(name: str, value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MOST_TEXT:
        return value
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # publishers may have numbers as ids
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


def _header_id(headers: Mapping[str, str]) -> str | None:
    return _text(OWN_ID, headers.get(OWN_ID)) or _text(MESSAGE_ID, headers.get(MESSAGE_ID))


def generated_id(stream: str, sequence: int, recorded_at: int) -> str:
    """The id of a message without one, generated from its position in the stream."""
    # the same when a stream is read again; another one for a reused sequence, because of its timestamp
    return hashlib.sha256(f"{stream}\n{sequence}\n{recorded_at}".encode()).hexdigest()[:32]
