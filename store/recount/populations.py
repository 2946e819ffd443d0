"""The counts of aggregates by type and expiry, compared with a recount of their heads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo import DeleteOne, ReplaceOne, UpdateOne

from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import HEADS, is_population, is_population_name
from eventscope.store.recount.difference import Difference, foreign, in_transaction, remove, soon
from eventscope.store.state import checkpoint

SECONDS: Final = 240.0
NAME: Final[Document] = {
    "aggregateType": "$_id.type",
    "expireAt": {"$cond": [{"$eq": [{"$type": "$expireAt"}, "date"]}, "$expireAt", None]},
}


@dataclass(frozen=True, slots=True)
class PopulationDifferences:
    """What was wrong at one moment, and how many recounts had changed something by then."""

    wrong: list[Difference]
    recounts: int


async def differences(log: Log, wrong_heads: Sequence[Difference] = ()) -> PopulationDifferences:
    """The counts of aggregates that are wrong, and documents that are not counts.

    If some heads are still wrong, pass them as `wrong_heads`: the counts are compared with the corrected heads.
    """
    with translate_errors(SECONDS):
        async with log.mongo.snapshot() as session:
            at = await log.meta.find_one({"_id": checkpoint.ID}, session=session) or {}
            rows = await fetch_all(log.populations.find({}, session=session))
            heads = await _recount(log, HEADS, session)
    expiring = soon(log)
    wrong = [foreign("populations", row) for row in rows if not is_population_name(row["_id"])]
    found = {_key(row): row for row in rows if is_population_name(row["_id"])}
    counted = Counter({_key(row): row["n"] for row in heads})
    for one in wrong_heads:
        for head, n in ((one.found, -1), (one.counted, 1)):
            if one.kind == "head" and head is not None and not one.advice:
                expiry = head.get("expireAt")
                counted[one.key["type"], expiry if isinstance(expiry, datetime) else None] += n
    for key in list({**counted, **found}):
        type, expiry = key
        name, right = {"aggregateType": type, "expireAt": expiry}, {"n": counted[key]}
        row = found.get(key, {"_id": name, "n": 0})
        if not is_population(row):
            wrong.append(Difference("population", name, {k: v for k, v in row.items() if k != "_id"}, right))
        elif row["n"] != right["n"] and (expiry is None or expiry > expiring):
            wrong.append(Difference("population", name, {"n": row["n"]}, right))
    return PopulationDifferences(wrong, at.get("recounts", 0))


async def repair(log: Log, differences: PopulationDifferences) -> None:
    """Correct the counts by their differences. Batches that were stored since then have updated the counts themselves.

    If another recount has changed something since, nothing is done: the differences have to be found again.
    """

    async def work(session: Session, before: Document) -> None:
        # Two recounts that found the same difference must not both add it: `in_transaction` counts each of them.
        if before.get("recounts", 0) != differences.recounts:
            return
        changes = [await _change(log, one, session) for one in differences.wrong if one.kind == "population"]
        if changes:
            await log.populations.bulk_write(changes, ordered=False, session=session)

    if differences.wrong:
        with translate_errors(log.question_seconds):
            await remove(log.populations, differences.wrong)
        await in_transaction(log, work)


def _key(row: Document) -> tuple[Any, Any]:
    return row["_id"]["aggregateType"], row["_id"]["expireAt"]


async def _change(log: Log, one: Difference, session: Session) -> UpdateOne | ReplaceOne[Document] | DeleteOne:
    found, counted = one.found or {}, one.counted or {}
    if is_population({"_id": one.key, **found}):
        return UpdateOne({"_id": one.key}, {"$inc": {"n": counted["n"] - found["n"]}}, upsert=True)
    # the count is damaged, so nothing can be added to it
    expiry: Any = one.key["expireAt"]
    rows = await _recount(log, HEADS | {"_id.type": one.key["aggregateType"]}, session)
    n = sum(row["n"] for row in rows if row["_id"]["expireAt"] == expiry)
    return ReplaceOne({"_id": one.key}, {"n": n}, upsert=True) if n else DeleteOne({"_id": one.key})


async def _recount(log: Log, match: Document, session: Session) -> list[Document]:
    group: list[Document] = [{"$match": match}, {"$group": {"_id": NAME, "n": {"$sum": 1}}}]
    return await log.mongo.aggregate(log.aggregates, group, session=session, allowDiskUse=True)
