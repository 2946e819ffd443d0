"""Other people's envelopes: messages of CloudEvents and of NestJS, opened into the plain EventMessage. No I/O.

CloudEvents 1.0, structured, batched and in NATS' binary binding:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/nats-protocol-binding.md
NestJS microservices publish `{pattern, data}`: https://docs.nestjs.com/microservices/nats
"""

import base64
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import unquote

Envelope = Literal["plain", "cloudevents", "nestjs"]

CE: Final = "ce-"
SPEC_VERSION: Final = "1.0"

# attributes of CloudEvents, with those of its documented extensions (correlation, auth context), as members of ours
CLOUD: Final[Mapping[str, str]] = {
    "type": "type",
    "time": "timestamp",
    "data": "data",
    "subject": "aggregateId",
    "aggregateid": "aggregateId",
    "aggregatetype": "aggregateType",
    "correlationid": "correlationId",
    "causationid": "causationId",
    "authid": "userId",
}


class WrongEnvelope(Exception):
    """The message is not in the envelope that its subject is set to; the text says what it looks like."""


def opened(envelope: Envelope, content: dict[str, Any]) -> dict[str, Any]:
    """The EventMessage in the envelope; WrongEnvelope when it is another one."""
    match envelope:
        case "cloudevents":
            return _cloud_event(content)
        case "nestjs":
            return _nest_event(content)
        case "plain":
            return _plain(content)


def is_binary(headers: Mapping[str, str]) -> bool:
    """Whether it is a CloudEvent in binary mode: its attributes are headers, and the bytes are its data alone."""
    return any(name.lower() == f"{CE}specversion" for name in headers)


def attributes(headers: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a CloudEvent in binary mode."""
    found = {name.lower(): value for name, value in headers.items()}
    read: dict[str, Any] = {name.removeprefix(CE): unquote(v) for name, v in found.items() if name.startswith(CE)}
    if "content-type" in found:
        read["datacontenttype"] = found["content-type"]
    return read


def is_json(content_type: str | None) -> bool:
    """Whether data of that type is JSON, as it is where no type is named."""
    kind = (content_type or "application/json").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def binary_data(raw: bytes) -> dict[str, Any]:
    """Data that is not JSON, as structured CloudEvents carry it."""
    return {"data_base64": base64.b64encode(raw).decode()}


def _cloud_event(content: dict[str, Any]) -> dict[str, Any]:
    if content.get("specversion") != SPEC_VERSION:
        raise WrongEnvelope(f"its subject is set to cloudevents, and it is no CloudEvent of version {SPEC_VERSION}")
    for name in ("id", "source", "type"):
        if not isinstance(content.get(name), str) or not content[name]:
            raise WrongEnvelope(f"it is a CloudEvent without {name}")
    # the id alone is unique only among the events of its source
    message: dict[str, Any] = {"messageId": f"{content['source']}#{content['id']}"}
    for name, value in content.items():
        ours = CLOUD.get(name)
        if ours is None:
            message[name] = value
        elif name != "subject" or "aggregateid" not in content:
            message[ours] = value
    return message


def _nest_event(content: dict[str, Any]) -> dict[str, Any]:
    if "pattern" not in content:
        raise WrongEnvelope("its subject is set to nestjs, and it has no pattern")
    pattern = content["pattern"]
    named = {"type": pattern} if isinstance(pattern, str) else {"pattern": pattern}
    return named | {name: value for name, value in content.items() if name != "pattern"}


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    if "specversion" in content:
        raise WrongEnvelope("it looks like a CloudEvent, and its subject is set to plain")
    if "pattern" in content and "type" not in content:
        raise WrongEnvelope("it looks like an event of NestJS, and its subject is set to plain")
    return content
