"""Envelopes of messages: which one a subject is set to, and the plain EventMessage inside. No I/O.

NestJS microservices publish `{pattern, data}`: https://docs.nestjs.com/microservices/nats
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, assert_never

from eventscope import envelopes
from eventscope.envelopes import EnvelopeMapping
from eventscope.store.values.message import ENVELOPE, Arrival
from eventscope.subscriptions.messages import cloud_event
from eventscope.subscriptions.messages.contents import Contents, WrongEnvelope
from eventscope.subscriptions.messages.mapping import Mapper

MessageEnvelope: TypeAlias = envelopes.EnvelopeName | Literal["exported"] | Mapper

PLAIN: Final[Mapping[str, str]] = {ENVELOPE: "plain"}
"""The header that marks a message as plain, whatever envelope its subject is set to."""
EXPORTED: Final[Mapping[str, str]] = {ENVELOPE: "exported"}
"""The header that marks an event of another log, with all its extensions in one member."""

EXTENSIONS: Final = "extensions"
CLOUD_EVENT_HEADERS: Final = frozenset({"content-type"})  # besides its attributes, which have a prefix
NO_HEADERS: Final[frozenset[str]] = frozenset()
NEST: Final = frozenset({"pattern", "data"})
NEST_REQUEST: Final = NEST | {"id"}


def compile_envelopes(setting: Mapping[str, envelopes.EnvelopeChoice]) -> dict[str, MessageEnvelope]:
    """The envelopes of the setting by subject pattern, prepared for messages."""
    return {p: Mapper(one) if isinstance(one, EnvelopeMapping) else one for p, one in setting.items()}


def unwrapper(
    envelope: MessageEnvelope | None, arrival: Arrival, loads: Callable[[bytes], Any]
) -> Callable[[dict[str, Any], int | None], dict[str, Any] | Contents]:
    """A function that unwraps the EventMessages of that arrival, one by one.

    It is called with the JSON of one and its index in a group, and raises WrongEnvelope when that is in another
    envelope. An envelope of None means that none is set: the message is plain, unless it clearly is in one.
    """
    match envelope:
        case "plain":
            return lambda content, index: content
        case None:
            return lambda content, index: _plain_if_unset(content)
        case "cloudevents":
            return lambda content, index: cloud_event.structured(content, loads)
        case "nestjs":
            return lambda content, index: _nest_event(content)
        case "exported":
            return lambda content, index: _exported(content)
        case Mapper():
            outer = envelope.outer(arrival)
            return lambda content, index: envelope.unwrap(content, outer, index)
        case _:
            assert_never(envelope)


def content_headers(envelope: MessageEnvelope | None) -> frozenset[str]:
    """The names, in lower case, of headers that carry content of messages in this envelope."""
    match envelope:
        case Mapper():
            return envelope.headers
        case "cloudevents":
            return CLOUD_EVENT_HEADERS
        case _:
            return NO_HEADERS


def unwrap_whole(envelope: MessageEnvelope | None, arrival: Arrival, loads: Callable[[bytes], Any]) -> Contents | None:
    """The contents of a message whose envelope spans headers and bytes; None if it is in no such envelope."""
    if envelope == "cloudevents" and cloud_event.is_binary(arrival.headers):
        return cloud_event.binary(arrival.headers, arrival.raw, loads)
    if envelope is None and arrival.headers and cloud_event.looks_binary(arrival.headers):
        raise WrongEnvelope("it looks like a CloudEvent in binary mode, but no envelope is set for its subject")
    return None


def _nest_event(content: dict[str, Any]) -> dict[str, Any] | Contents:
    if "pattern" not in content:
        raise WrongEnvelope("its subject is set to nestjs, but it has no pattern")
    pattern = content["pattern"]
    first = {"type": pattern} if isinstance(pattern, str) else {"pattern": pattern}
    if "type" in content and "type" in first:  # the pattern is the type, and the member `type` is kept as an extension
        members = first | {name: value for name, value in content.items() if name not in ("pattern", "type")}
        return Contents(members, {"type": content["type"]}, claims=True)
    return first | {name: value for name, value in content.items() if name != "pattern"}


def _exported(content: dict[str, Any]) -> Contents:
    extensions = content.get(EXTENSIONS, {})
    if not isinstance(extensions, dict):
        raise WrongEnvelope(f"it is marked as exported, but its {EXTENSIONS} are not an object")
    return Contents({name: value for name, value in content.items() if name != EXTENSIONS}, extensions)


def _plain_if_unset(content: dict[str, Any]) -> dict[str, Any]:
    if "specversion" in content and cloud_event.looks_like(content):
        raise WrongEnvelope("it looks like a CloudEvent, but no envelope is set for its subject")
    if "pattern" in content and NEST <= content.keys() <= NEST_REQUEST:
        raise WrongEnvelope("it looks like an event of NestJS, but no envelope is set for its subject")
    return content
