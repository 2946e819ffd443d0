"""Events as services see them: those to publish, those in the log, and their form in GraphQL."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias

import orjson

from eventscope.errors import BadInput
from eventscope.store.values import json_text

JSON: TypeAlias = Any

ENCODING: Final = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event in the log. Pass its `cursor` as `after` to resume a subscription or a replay after it.

    `id` is its message id, which GraphQL calls `messageId`. `version` counts the events of its aggregate from 1;
    `claimed_version` is the version that the publisher gave, if it differs.
    """

    id: str
    position: int
    cursor: str
    type: str
    timestamp: datetime
    recorded_at: datetime
    aggregate_type: str | None = None
    aggregate_id: str | None = None
    version: int | None = None
    claimed_version: int | None = None
    user_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    data: JSON = field(default=None, hash=False)
    metadata: JSON = field(default=None, hash=False)
    extensions: JSON = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to publish.

    An event is stored once, however often it is published with the same `message_id`; the default is a new id.
    `expected_version` is the version that the aggregate must have before: 0 if it must not exist yet, None for any.
    `timestamp` is when the event happened, by default now; without a time zone it is in UTC.
    """

    type: str
    data: JSON = field(default=None, hash=False)
    aggregate_id: str | None = field(default=None, kw_only=True)
    aggregate_type: str | None = field(default=None, kw_only=True)
    user_id: str | None = field(default=None, kw_only=True)
    correlation_id: str | None = field(default=None, kw_only=True)
    causation_id: str | None = field(default=None, kw_only=True)
    metadata: JSON = field(default=None, kw_only=True, hash=False)
    message_id: str | None = field(default=None, kw_only=True)
    expected_version: int | None = field(default=None, kw_only=True)
    timestamp: datetime | date | None = field(default=None, kw_only=True)

    def message(self) -> dict[str, Any]:
        """The message to send, always with an id. BadInput when it cannot be an event.

        The expected version is not in it: it goes into a header.
        """
        self._check()
        message: dict[str, Any] = {
            "type": self.type,
            "messageId": self.message_id or str(uuid.uuid4()),
            "aggregateType": self.aggregate_type,
            "aggregateId": self.aggregate_id,
            "userId": self.user_id,
            "correlationId": self.correlation_id,
            "causationId": self.causation_id,
            "timestamp": None if self.timestamp is None else iso(self.timestamp),
            "data": _encoded("data", self.data),
            "metadata": _encoded("metadata", self.metadata),
        }
        return {name: value for name, value in message.items() if value is not None}

    def _check(self) -> None:
        if self.expected_version is None:
            return
        if self.expected_version < 0:
            raise BadInput(
                f"expected_version is {self.expected_version}; 0 means that the aggregate must not exist yet",
                "expected_version",
            )
        if self.aggregate_type is None or self.aggregate_id is None:
            raise BadInput("expected_version needs aggregate_type and aggregate_id", "expected_version")


@dataclass(frozen=True, slots=True)
class PublishedEvent:
    """A stored event: its position in the log, and its version if it has an aggregate.

    `id` is its message id, as `Event.id` is in this client and in REST; GraphQL calls it `messageId`.
    """

    id: str
    position: int
    version: int | None


def camel(name: str) -> str:
    """The name in GraphQL: `aggregateType` for `aggregate_type`."""
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def iso(time: datetime | date) -> str:
    """The time in ISO 8601: in UTC if it has no zone; a date stands for its start. BadInput for other classes."""
    if not isinstance(time, datetime):
        if not isinstance(time, date):
            raise BadInput(f"{str(time)[:40]!r} is a {type(time).__name__}; give a datetime or a date")
        return time.isoformat()
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


# `messageId` and not GraphQL's `id`: that has a prefix for the few message ids that look like ids of other objects
NAMES: Final[Mapping[str, str]] = {field.name: camel(field.name) for field in fields(Event)} | {"id": "messageId"}
SELECTION: Final = " ".join(NAMES.values())
TIMES: Final = ("timestamp", "recorded_at")


def parse_event(node: Mapping[str, Any]) -> Event:
    """The event in a response to a query with `SELECTION`."""
    values = {name: node[field] for name, field in NAMES.items()}
    return Event(**values | {name: datetime.fromisoformat(values[name]) for name in TIMES})


def _encoded(name: str, value: JSON) -> orjson.Fragment | None:
    if value is None:
        return None
    try:
        return orjson.Fragment(json_text.dumps(value, option=ENCODING))
    except json_text.Fault as fault:
        raise BadInput(f"{name} is not JSON: {fault}", name) from None
