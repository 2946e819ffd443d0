"""The counts of aggregates by type and expiry, held against a recount of their heads."""

from dataclasses import dataclass
from typing import Any, Final

from pymongo import UpdateOne

from eventscope.store import checkpoint
from eventscope.store.driver import Document, Session, translated
from eventscope.store.log import Log
from eventscope.store.recount.wrong import Wrong, fenced, soon

SECONDS: Final = 240.0
TEXT: Final[Document] = {"$type": "string"}  # which foreign documents have not


@dataclass(frozen=True, slots=True)
class Differences:
    """What was wrong at a moment, and how many recounts had changed anything by then."""

    wrong: list[Wrong]
    recounts: int


async def differences(log: Log) -> Differences:
    """The counts of aggregates that are not as they must be."""
    name = {"aggregateType": "$_id.type", "expireAt": {"$ifNull": ["$expireAt", None]}}
    with translated(SECONDS):
        async with log.mongo.session(snapshot=True) as session:
            at = await log.meta.find_one({"_id": checkpoint.ID}, session=session) or {}
            rows = await log.populations.find({"_id.aggregateType": TEXT}, session=session).to_list(None)
            group: list[Document] = [{"$match": {"_id.type": TEXT}}, {"$group": {"_id": name, "n": {"$sum": 1}}}]
            heads = await log.mongo.aggregate(log.aggregates, group, session=session, allowDiskUse=True)
    expiring = soon(log)
    found = {_key(row): row.get("n", 0) for row in rows}
    counted = {_key(row): row["n"] for row in heads}
    wrong: list[Wrong] = []
    for key in {**counted, **found}:
        type, expiry = key
        there, right = found.get(key, 0), counted.get(key, 0)
        if there != right and (expiry is None or expiry > expiring):
            wrong.append(Wrong("population", {"aggregateType": type, "expireAt": expiry}, {"n": there}, {"n": right}))
    return Differences(wrong, at.get("recounts", 0))


async def mend(log: Log, differences: Differences) -> None:
    """Add what was missing and take away what was too much: what came or went since then is in the counts already.

    Nothing is done if another recount has changed anything meanwhile; then the differences are to be found anew.
    """

    async def work(session: Session, before: Document) -> None:
        if before.get("recounts", 0) != differences.recounts:
            return
        changes = [
            UpdateOne({"_id": one.key}, {"$inc": {"n": _missing(one)}}, upsert=True) for one in differences.wrong
        ]
        await log.populations.bulk_write(changes, ordered=False, session=session)

    if differences.wrong:
        await fenced(log, work)


def _key(row: Document) -> tuple[Any, Any]:
    return row["_id"]["aggregateType"], row["_id"]["expireAt"]


def _missing(one: Wrong) -> int:
    return int((one.counted or {})["n"] - (one.found or {})["n"])
