"""The messages that were rejected: looking at them, newest first, and taking away those that are dealt with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eventscope.store.documents import Source
from eventscope.store.driver import Document, translated
from eventscope.store.headers import from_document
from eventscope.store.log import Log


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that could not be taken, as it came. `number` is 1, 2, 3 … in the order of rejection.

    A header that was sent several times has a list of its values.
    """

    number: int
    code: str
    reason: str
    subject: str
    headers: Mapping[str, str | list[str]]
    raw: bytes
    recorded_at: int
    source: Source


async def rejected(log: Log, *, limit: int, below: int | None = None, code: str | None = None) -> list[Rejected]:
    """At most `limit` rejected messages with numbers under `below`, the last one first; of one code, if given."""
    asked = _of(code) | ({} if below is None else {"_id": {"$lt": below}})
    with translated(log.question_seconds):
        found = await log.rejected.find(asked).sort("_id", -1).limit(limit).to_list(None)
    return [_rejected(row) for row in found]


async def one(log: Log, number: int) -> Rejected | None:
    """The one of that number, if it is there."""
    with translated(log.question_seconds):
        found = await log.rejected.find_one({"_id": number})
    return None if found is None else _rejected(found)


async def numbers(log: Log, code: str | None = None) -> list[int]:
    """The numbers of all that are there now, the first one first; of one code, if given."""
    with translated(log.question_seconds):
        # the condition on the number lets the index answer alone
        asked = _of(code) | {"_id": {"$gt": 0}}
        found = await log.rejected.find(asked, {"_id": 1}).sort("_id", 1).to_list(None)
    return [row["_id"] for row in found]


async def remove(log: Log, numbers: Sequence[int]) -> int:
    """Take these away for good; how many of them there were."""
    with translated(log.question_seconds):
        outcome = await log.rejected.delete_many({"_id": {"$in": list(numbers)}})
    return outcome.deleted_count


async def count(log: Log) -> int:
    """How many there are."""
    with translated(log.question_seconds):
        return await log.rejected.estimated_document_count()


async def codes(log: Log) -> dict[str, int]:
    """How many there are of each code, the commonest first."""
    with translated(log.question_seconds):
        rows = await log.mongo.aggregate(
            log.rejected,
            [
                {"$match": {"code": {"$gt": ""}}},
                {"$group": {"_id": "$code", "n": {"$sum": 1}}},
                {"$sort": {"n": -1, "_id": 1}},
            ],
        )
    return {row["_id"]: row["n"] for row in rows}


def _of(code: str | None) -> Document:
    return {} if code is None else {"code": code}


def _rejected(row: Document) -> Rejected:
    return Rejected(
        number=row["_id"],
        code=row["code"],
        reason=row["reason"],
        subject=row["subject"],
        headers=from_document(row["headers"]),
        raw=row["raw"],
        recorded_at=row["recordedAt"],
        source=row["source"],
    )
