"""Why a running ingester cannot work: its last report, for processes that only notice that nothing is stored."""

from dataclasses import dataclass
from typing import Final

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors

ID: Final = "stopped"  # in `meta`
RECENT: Final = 60_000
"""Milliseconds for which a report counts. An ingester that still runs has tried again twice by then."""
SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """The ingester that last reported that it cannot work, and why."""

    holder: str
    reason: str


async def report(log: Log, holder: str, reason: str) -> None:
    """Record why the ingester cannot work now. Raises Unavailable or QuestionTimedOut."""
    fields = {"holder": {"$literal": holder}, "reason": {"$literal": reason}, "at": "$$NOW"}
    with translate_errors(SECONDS, "meta"):
        await log.meta.update_one({"_id": ID}, [{"$set": fields}], upsert=True)


async def last(log: Log) -> Stopped | None:
    """The last report within a minute; it only matters while no ingester is at work."""
    recent: Document = {"$gte": ["$at", {"$subtract": ["$$NOW", RECENT]}]}
    with translate_errors(log.question_seconds):
        document = await log.meta.find_one({"_id": ID, "$expr": recent})
    if document is None or not (isinstance(document.get("holder"), str) and isinstance(document.get("reason"), str)):
        return None
    return Stopped(document["holder"], document["reason"])
