"""Reading the messages that were rejected, newest first."""

from collections.abc import Mapping
from dataclasses import dataclass

from eventscope.store.driver import translated
from eventscope.store.log import Log


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that could not be taken, as it came. `number` is 1, 2, 3 … in the order of rejection."""

    number: int
    code: str
    reason: str
    subject: str
    headers: Mapping[str, str]
    raw: bytes
    recorded_at: int


async def rejected(log: Log, *, limit: int, below: int | None = None) -> list[Rejected]:
    """At most `limit` rejected messages with numbers under `below`, the last one first."""
    with translated(log.question_seconds):
        asked = {} if below is None else {"_id": {"$lt": below}}
        found = await log.rejected.find(asked).sort("_id", -1).limit(limit).to_list(None)
    return [
        Rejected(row["_id"], row["code"], row["reason"], row["subject"], row["headers"], row["raw"], row["recordedAt"])
        for row in found
    ]


async def count(log: Log) -> int:
    """How many there are."""
    with translated(log.question_seconds):
        return await log.rejected.estimated_document_count()
