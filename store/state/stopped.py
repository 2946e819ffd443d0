"""Why an ingester that runs cannot work: its last word, for the processes that only see that nothing is stored."""

from dataclasses import dataclass
from typing import Final

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors

ID: Final = "stopped"  # in `meta`
RECENT: Final = 60_000
"""Milliseconds after which nobody can tell whether that ingester still runs: it tries again twice in that time."""
SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """Which ingester said last that it cannot work, and why."""

    holder: str
    reason: str


async def leave(log: Log, holder: str, reason: str) -> None:
    """Note why that ingester cannot work now. Raises Unavailable or QuestionTimedOut."""
    said = {"holder": {"$literal": holder}, "reason": {"$literal": reason}, "at": "$$NOW"}
    with translate_errors(SECONDS, "meta"):
        await log.meta.update_one({"_id": ID}, [{"$set": said}], upsert=True)


async def last(log: Log) -> Stopped | None:
    """What was said within the last minute; it counts only while no ingester is at work."""
    recent: Document = {"$gte": ["$at", {"$subtract": ["$$NOW", RECENT]}]}
    with translate_errors(log.question_seconds):
        found = await log.meta.find_one({"_id": ID, "$expr": recent})
    if found is None or not (isinstance(found.get("holder"), str) and isinstance(found.get("reason"), str)):
        return None
    return Stopped(found["holder"], found["reason"])
