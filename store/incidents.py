"""What happened to the servers that nothing in the log shows later: kept until somebody acknowledges it."""

from dataclasses import dataclass
from typing import Any, Final

from eventscope.errors import Blocked
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.rejected import room
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import INTEGERS

ID: Final = "incidents"  # in `meta`
KEPT: Final = 20  # of the last ones; their number counts all


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened, in a sentence, and when it was noticed, in microseconds."""

    at: int
    said: str


@dataclass(frozen=True, slots=True)
class Incidents:
    """The last ones, how many there were ever, and how much of everything was acknowledged.

    `lost` and `dropped` count messages, as the checkpoint and the account of rejected messages do.
    """

    last: tuple[Incident, ...] = ()
    count: int = 0
    acknowledged: int = 0
    lost: int = 0
    dropped: int = 0


async def note(log: Log, said: str) -> None:
    """Note what happened, before it is mended: who dies in between notes it twice, and never not at all.

    Raises Unavailable or QuestionTimedOut.
    """
    one = {"at": log.clock(), "said": said}
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one(
            {"_id": ID}, {"$push": {"last": {"$each": [one], "$slice": -KEPT}}, "$inc": {"count": 1}}, upsert=True
        )


async def read(log: Log) -> Incidents:
    """All that was noted. Blocked when the notes are damaged."""
    with translate_errors(log.question_seconds):
        found: Any = await log.meta.find_one({"_id": ID}) or {}
    numbers = {name: found.get(name, 0) for name in ("count", "acknowledged", "lost", "dropped")}
    last = found.get("last", [])
    if not (
        isinstance(last, list) and all(map(_is_incident, last)) and all(type(n) in INTEGERS for n in numbers.values())
    ):
        raise Blocked('the notes of incidents in meta are damaged: db.meta.deleteOne({_id: "incidents"})')
    return Incidents(tuple(Incident(one["at"], one["said"]) for one in last), **numbers)


async def acknowledge(log: Log) -> None:
    """Note that all that happened by now is known. Raises Blocked when it cannot be read."""
    at, dropped, known = await checkpoint.read(log), await room.dropped(log), await read(log)
    numbers: Document = {
        "acknowledged": known.count,
        "lost": at.lost_count,
        "dropped": 0 if dropped is None else dropped.count,
    }
    with translate_errors(log.question_seconds, "meta"):
        await log.meta.update_one({"_id": ID}, {"$set": numbers}, upsert=True)


def _is_incident(one: Any) -> bool:
    return isinstance(one, dict) and type(one.get("at")) in INTEGERS and isinstance(one.get("said"), str)
