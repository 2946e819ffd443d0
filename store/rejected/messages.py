"""The messages that were rejected: looking at them, newest first, and taking away those that are dealt with.

One that has expired is in no answer, though MongoDB's TTL task may delete it minutes later.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventscope.errors import TooComplex
from eventscope.store.events.pages import TOO_LARGE
from eventscope.store.filters.mongo import bson_date, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.first import first, first_large
from eventscope.store.values.documents import MessageSource
from eventscope.store.values.headers import from_document


@dataclass(frozen=True, slots=True)
class StoredRejection:
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
    source: MessageSource
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RejectedPage:
    """Rejected messages of a page; `full` when there was no room for more of them in one answer of MongoDB's."""

    messages: list[StoredRejection]
    full: bool


async def rejections(
    log: Log, *, limit: int, below: int | None = None, code: str | None = None
) -> list[StoredRejection]:
    """The messages of the page of that name."""
    return (await page(log, limit=limit, below=below, code=code)).messages


async def page(log: Log, *, limit: int, below: int | None = None, code: str | None = None) -> RejectedPage:
    """At most `limit` rejected messages with numbers under `below`, the last one first; of one code, if given.

    They take at most 16 MiB; if that is why there are fewer than `limit`, the page is `full`.
    """
    asked = _of(code) | unexpired(log.clock())
    with translate_errors(log.question_seconds):
        found, _ = await first_large(log.rejected, asked | _under(below), limit=limit, budget=log.budget, direction=-1)
        more = 0 < len(found) < limit and await first(
            log.rejected, asked | _under(found[-1]["_id"]), {"_id": 1}, limit=1, direction=-1
        )
    return RejectedPage([_rejected(row) for row in found], bool(more))


async def one(log: Log, number: int) -> StoredRejection | None:
    """The one of that number, if it is there."""
    found = await several(log, [number])
    return found[0] if found else None


async def several(log: Log, numbers: Sequence[int]) -> list[StoredRejection]:
    """Those of these numbers that are there, in any order; TooComplex when they take over 16 MiB."""
    asked = {"_id": {"$in": list(numbers)}} | unexpired(log.clock())
    with translate_errors(log.question_seconds):
        found = await first(log.rejected, asked, limit=len(numbers))
        if 0 < len(found) < len(numbers) and await log.rejected.count_documents(asked) > len(found):
            raise TooComplex(TOO_LARGE)
    return [_rejected(row) for row in found]


async def numbers(log: Log, code: str | None = None) -> list[int]:
    """The numbers of all that are there now, the first one first; of one code, if given."""
    with translate_errors(log.question_seconds):
        # the condition on the number lets the index answer alone
        asked = _of(code) | {"_id": {"$gt": 0}}
        found = await log.rejected.find(asked, {"_id": 1}).sort("_id", 1).to_list(None)
        # apart, for the same reason; they are few, for MongoDB takes them away within minutes
        gone = {row["_id"] async for row in log.rejected.find(_expired(log), {"_id": 1})}
    return [row["_id"] for row in found if row["_id"] not in gone]


async def remove(log: Log, numbers: Sequence[int]) -> int:
    """Take these away for good; how many of them there were."""
    with translate_errors(log.question_seconds):
        outcome = await log.rejected.delete_many({"_id": {"$in": list(numbers)}})
    return outcome.deleted_count


async def count(log: Log) -> int:
    """How many there are."""
    with translate_errors(log.question_seconds):
        n = await log.rejected.estimated_document_count()
        return max(0, n - await log.rejected.count_documents(_expired(log)))


async def newest(log: Log, message_ids: Sequence[str]) -> dict[str, int]:
    """The number of the last rejection of each of these messages, of those that have any."""
    with translate_errors(log.question_seconds):
        found = log.rejected.find({"messageId": {"$in": list(message_ids)}, **unexpired(log.clock())}, {"messageId": 1})
        return {row["messageId"]: row["_id"] async for row in found.sort("_id", 1)}


async def codes(log: Log) -> dict[str, int]:
    """How many there are of each code, the commonest first."""
    with translate_errors(log.question_seconds):
        counted = await _counted(log, {"code": {"$gt": ""}})
        counted.subtract(await _counted(log, _expired(log)))
    return dict(sorted((+counted).items(), key=lambda item: (-item[1], item[0])))


async def stamp(log: Log, days: float) -> int:
    """Let those that have no time of expiry expire after so many days from now, 0 for never; how many there were."""
    if days == 0:
        return 0
    end = bson_date(log.clock()) + timedelta(days=days)
    with translate_errors():
        outcome = await log.rejected.update_many({"expireAt": None}, {"$set": {"expireAt": end}})
    return outcome.modified_count


async def _counted(log: Log, match: Document) -> Counter[str]:
    rows = await log.mongo.aggregate(log.rejected, [{"$match": match}, {"$group": {"_id": "$code", "n": {"$sum": 1}}}])
    return Counter({row["_id"]: row["n"] for row in rows})


def _expired(log: Log) -> Document:
    return {"expireAt": {"$lte": bson_date(log.clock())}}


def _under(number: int | None) -> Document:
    return {} if number is None else {"_id": {"$lt": number}}


def _of(code: str | None) -> Document:
    return {} if code is None else {"code": code}


def _rejected(row: Document) -> StoredRejection:
    return StoredRejection(
        number=row["_id"],
        code=row["code"],
        reason=row["reason"],
        subject=row["subject"],
        headers=from_document(row["headers"]),
        raw=row["raw"],
        recorded_at=row["recordedAt"],
        source=row["source"],
        expires_at=row.get("expireAt"),
    )
