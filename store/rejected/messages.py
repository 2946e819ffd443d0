"""Rejected messages: reading them, newest first, and deleting those that are dealt with.

An expired message is in no answer, although MongoDB's TTL task may delete it minutes later. Neither is a document that
somebody else put among them, except in counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventscope.errors import TooComplex
from eventscope.store.events.pages import TOO_LARGE
from eventscope.store.filters.mongo import bson_date, unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.first import first, first_large
from eventscope.store.mongo.shapes import WHOLE_REJECTIONS
from eventscope.store.values.documents import MessageSource
from eventscope.store.values.headers import from_document


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """A rejected message as it was received. `number` is 1, 2, 3 … in the order of rejection.

    A header that was sent several times has a list of values.
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
    """Rejected messages of a page; it is `full` if more did not fit into one answer of MongoDB."""

    messages: list[StoredRejection]
    full: bool


async def rejections(
    log: Log, *, limit: int, below: int | None = None, code: str | None = None
) -> list[StoredRejection]:
    """The messages of `page` with the same arguments."""
    return (await page(log, limit=limit, below=below, code=code)).messages


async def page(log: Log, *, limit: int, below: int | None = None, code: str | None = None) -> RejectedPage:
    """At most `limit` rejected messages with numbers under `below`, newest first; only those with `code`, if given.

    They take at most 16 MiB; if that is why there are fewer than `limit`, the page is `full`.
    """
    query = _with_code(code) | unexpired(log.clock()) | WHOLE_REJECTIONS
    with translate_errors(log.question_seconds):
        rows, _ = await first_large(log.rejected, query | _under(below), limit=limit, budget=log.budget, direction=-1)
        more = 0 < len(rows) < limit and await first(
            log.rejected, query | _under(rows[-1]["_id"]), {"_id": 1}, limit=1, direction=-1
        )
    return RejectedPage([_from_row(row) for row in rows], bool(more))


async def one(log: Log, number: int) -> StoredRejection | None:
    """The rejected message with that number; None if there is none."""
    messages = await several(log, [number])
    return messages[0] if messages else None


async def several(log: Log, numbers: Sequence[int]) -> list[StoredRejection]:
    """The rejected messages with these numbers, in any order; TooComplex when they take more than 16 MiB."""
    query = {"_id": {"$in": list(numbers)}} | unexpired(log.clock()) | WHOLE_REJECTIONS
    with translate_errors(log.question_seconds):
        rows = await first(log.rejected, query, limit=len(numbers))
        if 0 < len(rows) < len(numbers) and await log.rejected.count_documents(query) > len(rows):
            raise TooComplex(TOO_LARGE)
    return [_from_row(row) for row in rows]


async def numbers(log: Log, code: str | None = None) -> list[int]:
    """The numbers of all rejected messages, ascending; only those with `code`, if given."""
    with translate_errors(log.question_seconds):
        # with the condition on the number, the index alone answers this
        query = _with_code(code) | {"_id": {"$gt": 0}}
        rows = await fetch_all(log.rejected.find(query, {"_id": 1}).sort("_id", 1))
        # separately, for the same reason; they are few, since MongoDB deletes them within minutes
        expired = {row["_id"] async for row in log.rejected.find(_expiry_match(log), {"_id": 1})}
    return [row["_id"] for row in rows if row["_id"] not in expired]


async def remove(log: Log, numbers: Sequence[int]) -> int:
    """Delete these for good. Returns how many there were."""
    with translate_errors(log.question_seconds):
        outcome = await log.rejected.delete_many({"_id": {"$in": list(numbers)}})
    return outcome.deleted_count


async def count(log: Log) -> int:
    """How many rejected messages there are."""
    with translate_errors(log.question_seconds):
        n = await log.rejected.estimated_document_count()
        return max(0, n - await log.rejected.count_documents(_expiry_match(log)))


async def newest(log: Log, message_ids: Sequence[str]) -> dict[str, int]:
    """The number of the last rejection of each message, by message id; only for rejected ones."""
    with translate_errors(log.question_seconds):
        rows = log.rejected.find({"messageId": {"$in": list(message_ids)}, **unexpired(log.clock())}, {"messageId": 1})
        return {row["messageId"]: row["_id"] async for row in rows.sort("_id", 1)}


async def codes(log: Log) -> dict[str, int]:
    """How many there are of each code, the most frequent first."""
    with translate_errors(log.question_seconds):
        tally = await _tally(log, {"code": {"$gt": ""}})
        tally.subtract(await _tally(log, _expiry_match(log)))
    return dict(sorted((+tally).items(), key=lambda item: (-item[1], item[0])))


async def stamp(log: Log, days: float) -> int:
    """Let messages without an expiry expire `days` from now; 0 changes nothing. Returns how many there were."""
    if days == 0:
        return 0
    end = bson_date(log.clock()) + timedelta(days=days)
    with translate_errors():
        outcome = await log.rejected.update_many({"expireAt": None}, {"$set": {"expireAt": end}})
    return outcome.modified_count


async def _tally(log: Log, match: Document) -> Counter[str]:
    rows = await log.mongo.aggregate(log.rejected, [{"$match": match}, {"$group": {"_id": "$code", "n": {"$sum": 1}}}])
    return Counter({row["_id"]: row["n"] for row in rows})


def _expiry_match(log: Log) -> Document:
    return {"expireAt": {"$lte": bson_date(log.clock())}}


def _under(number: int | None) -> Document:
    return {"_id": {"$gt": 0} | ({} if number is None else {"$lt": number})}


def _with_code(code: str | None) -> Document:
    return {} if code is None else {"code": code}


def _from_row(row: Document) -> StoredRejection:
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
