"""Outcomes, as the ingester sends them to a publisher that asked for an answer. No I/O.

A publisher names an inbox in the header `Eventscope-Reply-To`. What it hears there is what the log holds: it is sent
after the commit, and once more for a message that comes again. It may be lost; then the publisher sends again.

Who may read the log can ask for answers that are sealed (`seal.py`), and tell them from those of anybody else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from eventscope.store.values.message import Arrival, Outcome, RejectedMessage
from eventscope.subscriptions.live import seal

T = TypeVar("T")

REPLY_TO: Final = "Eventscope-Reply-To"
SEALED: Final = "Eventscope-Reply-Sealed"
INBOX: Final = "_INBOX."  # nothing else is answered: the ingester may publish where the publisher may not


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the log. `version` is None where it has no aggregate."""

    id: str
    position: int
    version: int | None


@dataclass(frozen=True, slots=True)
class PublishRejection:
    """Why nothing was stored. `index` tells which of several events is to blame."""

    code: str
    reason: str
    message_id: str | None = None
    index: int | None = None
    actual_version: int | None = None


def inbox(arrival: Arrival) -> str | None:
    """Where the publisher waits for the outcome, if it does."""
    subject = arrival.headers.get(REPLY_TO)
    return subject if subject is not None and _is_inbox(subject) else None


def answers(outcomes: Iterable[Outcome], most_bytes: int, key: bytes) -> Iterator[tuple[str, bytes]]:
    """The inboxes where publishers wait, and what they are to hear there, unless the server takes no such message."""
    for outcome in outcomes:
        arrival = outcome.arrival
        if (place := inbox(arrival)) is not None:
            answer = encode(outcome)
            if SEALED in arrival.headers:
                answer = seal.on_answer(answer, place, arrival.raw, key)
            if len(answer) <= most_bytes:
                yield place, answer


def encode(outcome: Outcome) -> bytes:
    """The answer: `{messageId, position, version}`, or `{events: […]}` of these, or `{code, message, …}`."""
    if outcome.refusal is not None:
        return orjson.dumps(_rejection(outcome.refusal))
    events = [{"messageId": e["messageId"], "position": e["_id"], "version": e.get("version")} for e in outcome.events]
    return orjson.dumps({"events": events} if outcome.together else events[0])


def decode(raw: bytes) -> list[StoredEvent] | PublishRejection:
    """The inverse of `encode`. Anybody may have sent it: ValueError, KeyError or TypeError if it is no answer."""
    answer = _object(orjson.loads(raw))
    if "code" in answer:
        return PublishRejection(
            _text(answer["code"]),
            _text(answer["message"]),
            _if_given(_text, answer.get("messageId")),
            _if_given(_number, answer.get("index")),
            _if_given(_number, answer.get("actualVersion")),
        )
    events = answer.get("events", [answer])
    if not isinstance(events, list):
        raise TypeError("the events are no list")
    return [
        StoredEvent(_text(event["messageId"]), _number(event["position"]), _if_given(_number, event["version"]))
        for event in map(_object, events)
    ]


def is_about(answer: list[StoredEvent] | PublishRejection, ids: Sequence[str]) -> bool:
    """Whether it says that the events with these ids were stored, in their order, or that something was refused.

    A refusal may bear an id that its publisher never gave: several that come together have one of their own, and so has
    what names none that can be used.
    """
    return isinstance(answer, PublishRejection) or [event.id for event in answer] == list(ids)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("it is no object")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("it is no number")
    return value


def _if_given(read: Callable[[object], T], value: object) -> T | None:
    return None if value is None else read(value)


def _rejection(refused: RejectedMessage) -> dict[str, Any]:
    answer = {"code": refused.code, "message": refused.reason, "messageId": refused.id}
    more = {"index": refused.index, "actualVersion": refused.actual_version}
    return answer | {name: value for name, value in more.items() if value is not None}


def _is_inbox(subject: str) -> bool:
    return subject.startswith(INBOX) and len(subject) <= 256 and not set(subject) & set("*> \t\r\n")
