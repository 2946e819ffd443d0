"""Outcomes, as the ingester sends them to a publisher that wants an answer. No I/O.

A publisher names an inbox in the header `Eventscope-Reply-To`. The answer says what the log holds: it is sent after the
commit, and again for a message that comes again. It may be lost; then the publisher sends the message again.

A publisher that can read the log asks for sealed answers (`seal.py`), which nobody but an ingester can make.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from eventscope.store.values.message import Arrival, Outcome, RejectedMessage
from eventscope.subscriptions.live import seal
from eventscope.subscriptions.messages.headers import REPLY_SEALED, REPLY_TO

T = TypeVar("T")

INBOX: Final = "_INBOX."  # no answer goes elsewhere: the ingester may publish where the publisher may not


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the log. `version` is None if the event has no aggregate."""

    id: str
    position: int
    version: int | None


@dataclass(frozen=True, slots=True)
class PublishRejection:
    """Why nothing was stored. `index` is that of the event at fault, if several were published together."""

    code: str
    reason: str
    message_id: str | None = None
    index: int | None = None
    actual_version: int | None = None


def inbox(arrival: Arrival) -> str | None:
    """The inbox where the publisher waits for the outcome; None if it does not wait."""
    subject = arrival.headers.get(REPLY_TO)
    return subject if subject is not None and _is_inbox(subject) else None


def answers(outcomes: Iterable[Outcome], most_bytes: int, key: bytes) -> Iterator[tuple[str, bytes]]:
    """Each inbox where a publisher waits, with its answer; an answer over `most_bytes` is left out."""
    for outcome in outcomes:
        arrival = outcome.arrival
        if (subject := inbox(arrival)) is not None:
            answer = encode(outcome)
            if REPLY_SEALED in arrival.headers:
                answer = seal.seal_answer(answer, subject, arrival.raw, key)
            if len(answer) <= most_bytes:
                yield subject, answer


def encode(outcome: Outcome) -> bytes:
    """The answer: `{messageId, position, version}`, or `{events: […]}` of these, or `{code, message, …}`."""
    if outcome.rejection is not None:
        return orjson.dumps(_rejection(outcome.rejection))
    events = [{"messageId": e["messageId"], "position": e["_id"], "version": e.get("version")} for e in outcome.events]
    return orjson.dumps({"events": events} if outcome.together else events[0])


def decode(raw: bytes) -> list[StoredEvent] | PublishRejection:
    """The inverse of `encode`. ValueError, KeyError or TypeError for anything else, since anybody may have sent it."""
    answer = _object(orjson.loads(raw))
    if "code" in answer:
        return PublishRejection(
            _text(answer["code"]),
            _text(answer["message"]),
            _optional(_text, answer.get("messageId")),
            _optional(_number, answer.get("index")),
            _optional(_number, answer.get("actualVersion")),
        )
    events = answer.get("events", [answer])
    if not isinstance(events, list):
        raise TypeError("the events are not a list")
    return [
        StoredEvent(_text(event["messageId"]), _number(event["position"]), _optional(_number, event["version"]))
        for event in map(_object, events)
    ]


def is_about(answer: list[StoredEvent] | PublishRejection, ids: Sequence[str]) -> bool:
    """Whether it says that exactly the events with these ids were stored, in this order, or is a rejection.

    A rejection may carry an id that its publisher did not give: a group of events has one of its own, and so does a
    message without a usable id.
    """
    return isinstance(answer, PublishRejection) or [event.id for event in answer] == list(ids)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("it is not an object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is not a string")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("it is not a number")
    return value


def _optional(parse: Callable[[object], T], value: object) -> T | None:
    return None if value is None else parse(value)


def _rejection(message: RejectedMessage) -> dict[str, Any]:
    answer = {"code": message.code, "message": message.reason, "messageId": message.id}
    more = {"index": message.index, "actualVersion": message.actual_version}
    return answer | {name: value for name, value in more.items() if value is not None}


def _is_inbox(subject: str) -> bool:
    return subject.startswith(INBOX) and len(subject) <= 256 and not set(subject) & set("*> \t\r\n")
