"""Envelopes that messages come in: which one a subject is set to, and the plain EventMessage in it. No I/O.

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

STATED: Final = ENVELOPE
PLAIN: Final[Mapping[str, str]] = {STATED: "plain"}
"""The header by which a publisher says that its message is in no envelope, whatever its subject is set to."""
EXPORTED: Final[Mapping[str, str]] = {STATED: "exported"}
"""The same for an event of another log: all its extensions are in one member, whatever names they have."""

EXTENSIONS: Final = "extensions"
CLOUD_EVENT_HEADERS: Final = frozenset({"content-type"})  # besides its attributes, which are known by their prefix
NO_HEADERS: Final[frozenset[str]] = frozenset()
NEST: Final = frozenset({"pattern", "data"})
NEST_REQUEST: Final = NEST | {"id"}


def compile_envelopes(setting: Mapping[str, envelopes.EnvelopeChoice]) -> dict[str, MessageEnvelope]:
    """The envelopes of the setting by subject pattern, ready to open messages."""
    return {p: Mapper(one) if isinstance(one, EnvelopeMapping) else one for p, one in setting.items()}


def unwrapper(
    envelope: MessageEnvelope | None, arrival: Arrival, loads: Callable[[bytes], Any]
) -> Callable[[dict[str, Any], int | None], dict[str, Any] | Contents]:
    """What takes the EventMessages of that arrival out of the envelope, one by one.

    It is given the content of one and its place among several that came together, and raises WrongEnvelope when that
    is in another envelope. An envelope of None is plain too, but not by anybody's word: what plainly is in another one
    is refused.
    """
    match envelope:
        case "plain":
            return lambda content, index: content
        case None:
            return lambda content, index: _unstated(content)
        case "cloudevents":
            return lambda content, index: cloud_event.structured(content, loads)
        case "nestjs":
            return lambda content, index: _nest_event(content)
        case "exported":
            return lambda content, index: _exported(content)
        case Mapper():
            outer = envelope.outer(arrival)
            return lambda content, index: envelope.open(content, outer, index)
        case _:
            assert_never(envelope)


def content_headers(envelope: MessageEnvelope | None) -> frozenset[str]:
    """The names, in lower case, of headers that messages in this envelope have content in."""
    match envelope:
        case Mapper():
            return envelope.headers
        case "cloudevents":
            return CLOUD_EVENT_HEADERS
        case _:
            return NO_HEADERS


def unwrap_whole(envelope: MessageEnvelope | None, arrival: Arrival, loads: Callable[[bytes], Any]) -> Contents | None:
    """The EventMessage in headers and bytes together, where the message is in an envelope that is both."""
    if envelope == "cloudevents" and cloud_event.is_binary(arrival.headers):
        return cloud_event.binary(arrival.headers, arrival.raw, loads)
    if envelope is None and arrival.headers and cloud_event.looks_binary(arrival.headers):
        raise WrongEnvelope("it looks like a CloudEvent in binary mode, and no envelope is set for its subject")
    return None


def _nest_event(content: dict[str, Any]) -> dict[str, Any] | Contents:
    if "pattern" not in content:
        raise WrongEnvelope("its subject is set to nestjs, and it has no pattern")
    pattern = content["pattern"]
    named = {"type": pattern} if isinstance(pattern, str) else {"pattern": pattern}
    if "type" in content and "type" in named:  # the pattern is the type, and the other one is nobody's
        members = named | {name: value for name, value in content.items() if name not in ("pattern", "type")}
        return Contents(members, {"type": content["type"]}, claims=True)
    return named | {name: value for name, value in content.items() if name != "pattern"}


def _exported(content: dict[str, Any]) -> Contents:
    extensions = content.get(EXTENSIONS, {})
    if not isinstance(extensions, dict):
        raise WrongEnvelope(f"it is said to be exported, and its {EXTENSIONS} are no object")
    return Contents({name: value for name, value in content.items() if name != EXTENSIONS}, extensions)


def _unstated(content: dict[str, Any]) -> dict[str, Any]:
    if "specversion" in content and cloud_event.looks_like(content):
        raise WrongEnvelope("it looks like a CloudEvent, and no envelope is set for its subject")
    if "pattern" in content and NEST <= content.keys() <= NEST_REQUEST:
        raise WrongEnvelope("it looks like an event of NestJS, and no envelope is set for its subject")
    return content
