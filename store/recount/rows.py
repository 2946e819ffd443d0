"""The counts by hour and by day and the spans by minute, compared with a recount of the events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import is_row, is_row_name
from eventscope.store.recount.difference import Difference, Progress, foreign, in_transaction, remove, soon
from eventscope.store.recount.tally import (
    FROM_START,
    RowKey,
    Rows,
    Tally,
    correct_row,
    count,
    end_positions,
    key_of,
    kind,
    union,
)
from eventscope.store.state import checkpoint

CHUNK: Final = 50_000  # positions that are counted in one step
PART: Final = 200  # rows that are corrected in one transaction
MANY: Final = 10_000  # positions that are looked up in one query
SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Basis:
    """The existing rows and the rows recounted from the events, both as of the same head of the log.

    `others` are documents of the collection that are not rows.
    """

    head: int
    found: Rows
    counted: Rows
    others: list[Document]


async def basis(log: Log, report: Progress, chunk: int = CHUNK) -> Basis:
    """Count all events and read all rows, while new events come in.

    Up to a head that was read, the log never changes except by expiry. So the events can be counted piece by piece, and
    only the rows must be read at one moment.
    """
    tally = Tally()
    at = await _before(log)
    # most events are counted before the rows are read, so that the rest is quick and little expires meanwhile
    while (head := await checkpoint.head(log)) - at > chunk:
        at = await _count(log, tally, at, at + chunk)
        report("hour", at, head)
    with translate_errors(SECONDS):
        async with log.mongo.snapshot() as session:
            head = checkpoint.head_of(await log.meta.find_one({"_id": checkpoint.ID}, session=session))
            rows = await fetch_all(log.rollups.find({}, session=session))
    await _count(log, tally, at, head)
    report("hour", head, head)
    others = [row for row in rows if not is_row_name(row["_id"])]
    found = {key_of(row.pop("_id")): row for row in rows if is_row_name(row["_id"])}
    return Basis(head, found, tally.rows, others)


async def differences(log: Log, basis: Basis) -> list[Difference]:
    """The rows that are wrong, and documents that are not rows."""
    keys = [key for key in {**basis.counted, **basis.found} if _differs(key, basis)]
    spans = (basis.found[key] for key in keys if key in basis.found and kind(key) == "minute")
    with translate_errors(SECONDS):
        existing = await present(log, end_positions(spans), basis.head)
    expiring = soon(log)
    wrong = [foreign("rollups", row) for row in basis.others]
    for key in keys:
        found = basis.found.get(key)
        correct = correct_row(key, found, basis.counted.get(key), expiring, existing)
        if correct != found or not _is_sound(key, found):
            wrong.append(Difference(kind(key), dict(key), found, correct))
    return wrong


async def repair(log: Log, basis: Basis, wrong: Sequence[Difference]) -> None:
    """Correct these rows, including all events that came since they were counted."""
    if wrong:
        with translate_errors(SECONDS):
            await remove(log.rollups, wrong)
    counts = [one for one in wrong if one.kind != "foreign"]
    for start in range(0, len(counts), PART):
        part = counts[start : start + PART]

        async def work(session: Session, before: Document, part: Sequence[Difference] = part) -> None:
            await _repair(log, basis, part, checkpoint.head_of(before), session)

        await in_transaction(log, work)


async def present(log: Log, positions: Iterable[int], head: int, **options: Any) -> set[int]:
    """Those of the positions that have an event or never had one: no event was deleted there."""
    ordered = sorted(set(positions))
    existing = {position for position in ordered if not 0 < position <= head}
    for start in range(0, len(ordered), MANY):
        match = {"_id": {"$in": ordered[start : start + MANY]}}
        existing.update([row["_id"] async for row in log.events.find(match, {"_id": 1}, **options)])
    return existing


async def _repair(log: Log, basis: Basis, part: Sequence[Difference], head: int, session: Session) -> None:
    # Batches have changed the rows since `basis`. No batch can commit now, so the counts of `basis` and those of the
    # events since then give the correct rows of this moment.
    since = Tally()
    await count(log, since, {"_id": {"$gt": basis.head, "$lte": head}}, session=session)
    rows = await fetch_all(log.rollups.find({"_id": {"$in": [one.key for one in part]}}, session=session))
    ids = {key_of(row["_id"]): row.pop("_id") for row in rows}
    rows_by_key = dict(zip(ids, rows, strict=True))
    existing = await present(log, end_positions(rows_by_key.values()), head, session=session)
    writes: list[DeleteOne | ReplaceOne[Document]] = []
    expired: dict[str, int] = {}
    for one in part:
        key = key_of(one.key)
        found = rows_by_key.get(key)
        counted = union(basis.counted.get(key), since.rows.get(key)) or None
        correct = correct_row(key, found, counted, soon(log), existing)
        if correct == found and _is_sound(key, found):
            continue
        if correct is not None:
            writes.append(ReplaceOne({"_id": one.key}, correct, upsert=True))
            continue
        writes.append(DeleteOne({"_id": one.key}))
        expires = found is not None and one.key.get("expireAt") is not None and is_row(one.key, found)
        if found is not None and expires and (last := found["lastPosition"]) not in existing:
            expired[one.key["type"]] = max(last, expired.get(one.key["type"], 0))
    # the deleted rows were the last trace of how far these types have expired
    if expired:
        ledger = [UpdateOne({"_id": type}, {"$max": {"through": last}}, upsert=True) for type, last in expired.items()]
        await log.expirations.bulk_write(ledger, ordered=False, session=session)
    if writes:
        await log.rollups.bulk_write(writes, ordered=False, session=session)


def _differs(key: RowKey, basis: Basis) -> bool:
    found = basis.found.get(key)
    return found != basis.counted.get(key) or not _is_sound(key, found)


def _is_sound(key: RowKey, found: Document | None) -> bool:
    return found is None or is_row(dict(key), found)


async def _before(log: Log) -> int:
    """The position before the first existing event."""
    head = await checkpoint.head(log)
    with translate_errors(log.question_seconds):
        first = await fetch_all(log.events.find(FROM_START, {"_id": 1}).sort("_id", 1).limit(1))
    return first[0]["_id"] - 1 if first else head


async def _count(log: Log, tally: Tally, above: int, to: int) -> int:
    with translate_errors(SECONDS):
        await count(log, tally, {"_id": {"$gt": above, "$lte": to}}, allowDiskUse=True)
    return to
