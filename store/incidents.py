"""Incidents at the servers that leave no trace in the log: kept until somebody acknowledges them."""

from dataclasses import dataclass
from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.rejected import quota
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import INTEGERS

ID: Final = "incidents"  # in `meta`
MOST_LAST: Final = 20  # incidents that are kept; `count` counts all


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, in a sentence, and when it was noticed, in microseconds since 1970."""

    at: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """The last incidents, how many there ever were, and how many are acknowledged.

    `lost` and `dropped` are the acknowledged numbers of lost messages and of dropped rejected messages.
    """

    last: tuple[Incident, ...] = ()
    count: int = 0
    acknowledged: int = 0
    lost: int = 0
    dropped: int = 0


async def note(log: Log, sentence: str) -> None:
    """Record what happened, before it is repaired: a process that dies in between records it twice, but never loses it.

    Raises Unavailable or QuestionTimedOut.
    """
    incident = {"at": log.clock(), "said": sentence}
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one(
            {"_id": ID},
            {"$push": {"last": {"$each": [incident], "$slice": -MOST_LAST}}, "$inc": {"count": 1}},
            upsert=True,
        )


async def read(log: Log) -> Incidents:
    """All recorded incidents. Blocked when the record is damaged."""
    with translate_errors(log.question_seconds):
        document: Any = await log.meta.find_one({"_id": ID}) or {}
    numbers = {name: document.get(name, 0) for name in ("count", "acknowledged", "lost", "dropped")}
    last = document.get("last", [])
    if not (
        isinstance(last, list) and all(map(_is_incident, last)) and all(type(n) in INTEGERS for n in numbers.values())
    ):
        raise Blocked('the record of incidents in meta is damaged: db.meta.deleteOne({_id: "incidents"})')
    return Incidents(tuple(Incident(one["at"], one["said"]) for one in last), **numbers)


async def acknowledge(log: Log) -> None:
    """Acknowledge everything that has happened so far. Blocked when a record of it is damaged."""
    at, dropped, incidents = await checkpoint.read(log), await quota.dropped(log), await read(log)
    numbers: Document = {
        "acknowledged": incidents.count,
        "lost": at.lost_count,
        "dropped": 0 if dropped is None else dropped.count,
    }
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one({"_id": ID}, {"$set": numbers}, upsert=True)


def _is_incident(one: Any) -> bool:
    return isinstance(one, dict) and type(one.get("at")) in INTEGERS and isinstance(one.get("said"), str)
