"""The counts by hour and by day and the spans by minute, held against a recount of the events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.own import is_row, is_row_name
from eventscope.store.recount.tally import (
    FROM_START,
    RowKey,
    Rows,
    Tally,
    count,
    end_positions,
    key_of,
    kind,
    proper,
    union,
)
from eventscope.store.recount.wrong import Progress, Wrong, foreign, in_transaction, remove, soon
from eventscope.store.state import checkpoint

CHUNK: Final = 50_000  # positions that are counted at once
PART: Final = 200  # rows that are put right at once
MANY: Final = 10_000  # positions that are looked for at once
SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Basis:
    """The rows that are there and the rows that the events give, both as of one head of the log.

    `others` are the documents beside them that are no rows.
    """

    head: int
    found: Rows
    counted: Rows
    others: list[Document]


async def basis(log: Log, tell: Progress) -> Basis:
    """Count all events and read all rows, while new ones come in.

    What lies below a head that was read never changes, but for what expires; so only the rows need to be of one moment.
    """
    tally = Tally()
    at = await _before(log)
    while (head := await checkpoint.head(log)) - at > CHUNK:
        at = await _count(log, tally, at, at + CHUNK)
        tell("hour", at, head)
    with translate_errors(SECONDS):
        async with log.mongo.session(snapshot=True) as session:
            head = checkpoint.head_of(await log.meta.find_one({"_id": checkpoint.ID}, session=session))
            rows = await log.rollups.find({}, session=session).to_list(None)
    await _count(log, tally, at, head)
    tell("hour", head, head)
    others = [row for row in rows if not is_row_name(row["_id"])]
    found = {key_of(row.pop("_id")): row for row in rows if is_row_name(row["_id"])}
    return Basis(head, found, tally.rows, others)


async def differences(log: Log, basis: Basis) -> list[Wrong]:
    """The rows that are not as they must be, and what is no row."""
    keys = [key for key in {**basis.counted, **basis.found} if _differs(key, basis)]
    spans = (basis.found[key] for key in keys if key in basis.found and kind(key) == "minute")
    with translate_errors(SECONDS):
        here = await present(log, end_positions(spans), basis.head)
    expiring = soon(log)
    wrong = [foreign("rollups", row) for row in basis.others]
    for key in keys:
        found = basis.found.get(key)
        right = proper(key, found, basis.counted.get(key), expiring, here)
        if right != found or not _is_sound(key, found):
            wrong.append(Wrong(kind(key), dict(key), found, right))
    return wrong


async def mend(log: Log, basis: Basis, wrong: Sequence[Wrong]) -> None:
    """Make these rows what they must be, with all that has come since they were counted."""
    if wrong:
        with translate_errors(SECONDS):
            await remove(log.rollups, wrong)
    counts = [one for one in wrong if one.kind != "foreign"]
    for start in range(0, len(counts), PART):
        part = counts[start : start + PART]

        async def work(session: Session, before: Document, part: Sequence[Wrong] = part) -> None:
            await _mend(log, basis, part, checkpoint.head_of(before), session)

        await in_transaction(log, work)


async def present(log: Log, positions: Iterable[int], head: int, **options: Any) -> set[int]:
    """Those of the positions at which there is an event, or never was one: no event is gone from there."""
    asked = sorted(set(positions))
    here = {position for position in asked if not 0 < position <= head}
    for start in range(0, len(asked), MANY):
        match = {"_id": {"$in": asked[start : start + MANY]}}
        here.update([row["_id"] async for row in log.events.find(match, {"_id": 1}, **options)])
    return here


async def _mend(log: Log, basis: Basis, part: Sequence[Wrong], head: int, session: Session) -> None:
    since = Tally()
    await count(log, since, {"_id": {"$gt": basis.head, "$lte": head}}, session=session)
    rows = await log.rollups.find({"_id": {"$in": [one.key for one in part]}}, session=session).to_list(None)
    ids = {key_of(row["_id"]): row.pop("_id") for row in rows}
    there = dict(zip(ids, rows, strict=True))
    here = await present(log, end_positions(there.values()), head, session=session)
    writes: list[DeleteOne | ReplaceOne[Document]] = []
    gone: dict[str, int] = {}
    for one in part:
        key = key_of(one.key)
        found = there.get(key)
        counted = union(basis.counted.get(key), since.rows.get(key)) or None
        right = proper(key, found, counted, soon(log), here)
        if right == found and _is_sound(key, found):
            continue
        if right is not None:
            writes.append(ReplaceOne({"_id": one.key}, right, upsert=True))
            continue
        writes.append(DeleteOne({"_id": one.key}))
        expires = found is not None and one.key.get("expireAt") is not None and is_row(one.key, found)
        if found is not None and expires and (last := found["lastPosition"]) not in here:
            gone[one.key["type"]] = max(last, gone.get(one.key["type"], 0))
    if gone:
        ledger = [UpdateOne({"_id": type}, {"$max": {"through": last}}, upsert=True) for type, last in gone.items()]
        await log.expirations.bulk_write(ledger, ordered=False, session=session)
    if writes:
        await log.rollups.bulk_write(writes, ordered=False, session=session)


def _differs(key: RowKey, basis: Basis) -> bool:
    found = basis.found.get(key)
    return found != basis.counted.get(key) or not _is_sound(key, found)


def _is_sound(key: RowKey, found: Document | None) -> bool:
    return found is None or is_row(dict(key), found)


async def _before(log: Log) -> int:
    """The position before the first event that there is."""
    head = await checkpoint.head(log)
    with translate_errors(log.question_seconds):
        found = await log.events.find(FROM_START, {"_id": 1}).sort("_id", 1).limit(1).to_list(None)
    return found[0]["_id"] - 1 if found else head


async def _count(log: Log, tally: Tally, above: int, to: int) -> int:
    with translate_errors(SECONDS):
        await count(log, tally, {"_id": {"$gt": above, "$lte": to}}, allowDiskUse=True)
    return to
