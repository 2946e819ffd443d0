"""CloudEvents 1.0, in structured mode and in the binary mode of the NATS binding, as members of events. No I/O.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from eventscope.store.values.headers import every
from eventscope.store.values.message import ATTRIBUTE
from eventscope.subscriptions.messages import media_type
from eventscope.subscriptions.messages.contents import Contents, WrongEnvelope
from eventscope.subscriptions.messages.invalid_message import InvalidMessage
from eventscope.subscriptions.messages.raw_text import unquote

SPEC_VERSION: Final = "1.0"
REQUIRED: Final = ("id", "source", "type")
STRUCTURED: Final = "application/cloudevents"
IN_BASE64: Final = "data_base64"
EXPECTED: Final = "expectedversion"

# attributes of CloudEvents, with those of its documented extensions (correlation, auth context), and our members for
# them; any other attribute is an extension, even one with the name of a member
ATTRIBUTES: Final[Mapping[str, str]] = {
    "type": "type",
    "time": "timestamp",
    "data": "data",
    "aggregateid": "aggregateId",
    "aggregatetype": "aggregateType",
    "correlationid": "correlationId",
    "causationid": "causationId",
    "authid": "userId",
}

Loads = Callable[[bytes], Any]


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether it is a CloudEvent in binary mode: its attributes are headers, and its bytes are data only."""
    values = {name.lower(): value for name, value in headers.items()}
    return f"{ATTRIBUTE}specversion" in values and not values.get("content-type", "").lower().startswith(STRUCTURED)


def looks_binary(headers: Mapping[str, str]) -> bool:
    """Whether a message is clearly a CloudEvent in binary mode."""
    if not any(name[: len(ATTRIBUTE)].lower() == ATTRIBUTE for name in headers) or not is_binary(headers):
        return False
    values = {name.lower(): value for name, value in headers.items()}
    return values[f"{ATTRIBUTE}specversion"] == SPEC_VERSION and all(values.get(f"{ATTRIBUTE}{n}") for n in REQUIRED)


def binary(headers: Mapping[str, str], raw: bytes, loads: Loads) -> Contents:
    """The contents of a CloudEvent in binary mode. WrongEnvelope if it is not one, InvalidMessage for invalid data."""
    values = _values(headers)
    event = {n.removeprefix(ATTRIBUTE): _one(map(unquote, v)) for n, v in values.items() if n.startswith(ATTRIBUTE)}
    outer = {"datacontenttype": _one(values["content-type"])} if "content-type" in values else {}
    if raw:
        outer |= _data((event | outer).get("datacontenttype"), raw, loads)
    # attributes that also have a place of their own: the value there counts, and those in the attributes become
    # extensions
    extra = {"datacontenttype"} & outer.keys() | ({"data", IN_BASE64} if raw else set())
    extra = {name for name in extra & event.keys() if event[name] != outer.get(name)}
    contents = _contents({name: value for name, value in event.items() if name not in extra} | outer)
    contents.extensions.update({f"{ATTRIBUTE}{name}": event[name] for name in extra})
    return contents


def structured(event: dict[str, Any], loads: Loads) -> Contents:
    """The contents of a CloudEvent whose attributes are members of the message. WrongEnvelope if it is not one."""
    if event.get("data") is not None or not isinstance(event.get(IN_BASE64), str):
        return _contents(event)
    data = _decode(event.get("datacontenttype"), event[IN_BASE64], loads)
    return _contents({name: value for name, value in event.items() if name != IN_BASE64} | data)


def looks_like(content: Mapping[str, Any]) -> bool:
    """Whether a message is clearly a CloudEvent, and does not just have a member named `specversion`."""
    return content.get("specversion") == SPEC_VERSION and all(isinstance(content.get(name), str) for name in REQUIRED)


def _values(headers: Mapping[str, str]) -> dict[str, list[str]]:
    """The values of each header, by its name in lower case."""
    values: dict[str, list[str]] = {}
    for name, value in every(headers).items():
        values.setdefault(name.lower(), []).extend(value if isinstance(value, list) else [value])
    return values


def _one(values: Iterable[str]) -> str | list[str]:
    """The value, or a list of them if they differ."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else distinct


def _data(kind: object, raw: bytes, loads: Loads) -> dict[str, Any]:
    if kind is None or (isinstance(kind, str) and media_type.parse(kind).is_json):
        return {"data": loads(raw)}
    return (_text(kind, raw) if isinstance(kind, str) else None) or _in_base64(raw)


def _contents(event: dict[str, Any]) -> Contents:
    if event.get("specversion") != SPEC_VERSION:
        raise WrongEnvelope(f"its subject is set to cloudevents, but it is not a CloudEvent of version {SPEC_VERSION}")
    for name in REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise WrongEnvelope(f"it is a CloudEvent without {name}")
    members: dict[str, Any] = {"messageId": _message_id(event["source"], event["id"])}
    extensions: dict[str, Any] = {}
    for name, value in event.items():
        if name in ATTRIBUTES:
            members[ATTRIBUTES[name]] = value
        elif name != EXPECTED:
            extensions[name] = value
    if members.get("aggregateId") in (None, ""):
        members["aggregateId"] = extensions.pop("subject", None)
    return Contents(members, extensions, event.get(EXPECTED))


def _message_id(source: str, id: str) -> str:
    """The source and the id, since the id alone is unique only within its source."""
    if "#" not in source and "#" not in id:
        return f"{source}#{id}"
    # `##` in the middle and no `#` elsewhere, so that no other pair makes this id
    return "##".join(part.replace("%", "%25").replace("#", "%23") for part in (source, id))


def _decode(kind: object, text: str, loads: Loads) -> dict[str, Any]:
    unchanged = {IN_BASE64: text}
    if not isinstance(kind, str):
        return unchanged
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return unchanged
    if not media_type.parse(kind).is_json:
        return _text(kind, raw) or unchanged
    try:
        return {"data": loads(raw)}
    except InvalidMessage:
        return unchanged


def _text(kind: str, raw: bytes) -> dict[str, Any] | None:
    """Data whose type is text; None for other types, or for bytes that are not valid in their charset."""
    type = media_type.parse(kind)
    text = type.decode(raw) if type.is_text else None
    return None if text is None else {"data": text}


def _in_base64(raw: bytes) -> dict[str, Any]:
    return {IN_BASE64: base64.b64encode(raw).decode()}
