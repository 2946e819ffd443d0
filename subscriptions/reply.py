"""Outcomes, as the ingester sends them to a publisher that asked for an answer. No I/O.

A publisher names an inbox in the header `Eventscope-Reply-To`. What it hears there is what the log holds: it is sent
after the commit, and once more for a message that comes again. It may be lost; then the publisher sends again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from eventscope.store.message import Arrival, Outcome, Refused

REPLY_TO: Final = "Eventscope-Reply-To"
INBOX: Final = "_INBOX."  # nothing else is answered: the ingester may publish where the publisher may not


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in the log. `version` is None where it has no aggregate."""

    id: str
    position: int
    version: int | None


@dataclass(frozen=True, slots=True)
class Rejection:
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


def answers(outcomes: Iterable[Outcome], most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The inboxes where publishers wait, and what they are to hear there, unless the server takes no such message."""
    for outcome in outcomes:
        if (place := inbox(outcome.arrival)) is not None and len(answer := encode(outcome)) <= most_bytes:
            yield place, answer


def encode(outcome: Outcome) -> bytes:
    """The answer: `{messageId, position, version}`, or `{events: […]}` of these, or `{code, message, …}`."""
    if outcome.refusal is not None:
        return orjson.dumps(_rejection(outcome.refusal))
    events = [{"messageId": e["messageId"], "position": e["_id"], "version": e.get("version")} for e in outcome.events]
    return orjson.dumps({"events": events} if outcome.together else events[0])


def decode(raw: bytes) -> list[StoredEvent] | Rejection:
    """The inverse of `encode`."""
    answer = orjson.loads(raw)
    if "code" in answer:
        return Rejection(
            answer["code"],
            answer["message"],
            answer.get("messageId"),
            answer.get("index"),
            answer.get("actualVersion"),
        )
    return [
        StoredEvent(event["messageId"], event["position"], event["version"]) for event in answer.get("events", [answer])
    ]


def _rejection(refused: Refused) -> dict[str, Any]:
    answer = {"code": refused.code, "message": refused.reason, "messageId": refused.id}
    more = {"index": refused.index, "actualVersion": refused.actual_version}
    return answer | {name: value for name, value in more.items() if value is not None}


def _is_inbox(subject: str) -> bool:
    return subject.startswith(INBOX) and len(subject) <= 256 and not set(subject) & set("*> \t\r\n")
