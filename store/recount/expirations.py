"""What is noted of expired events, held against the events that are still there."""

from collections.abc import Sequence
from typing import Final

from pymongo import DeleteOne, UpdateOne

from eventscope.store import checkpoint
from eventscope.store.driver import Document, translated
from eventscope.store.log import Log
from eventscope.store.query import kept
from eventscope.store.recount.wrong import Wrong

SECONDS: Final = 240.0


async def differences(log: Log) -> list[Wrong]:
    """The notes that cannot be true: the event that is said to have expired is kept, or was never there.

    Which events are gone is known by their positions alone, so the last gone one before it takes its place.
    """
    head = await checkpoint.head(log)
    wrong: list[Wrong] = []
    with translated(SECONDS):
        rows = await log.expirations.find({}).to_list(None)
        asked = {"_id": {"$in": [row["through"] for row in rows]}}
        events = {row["_id"]: row async for row in log.events.find(asked, {"type": 1, "expireAt": 1})}
        still = {row["_id"] async for row in log.events.find({**asked, **kept(log.clock())}, {"_id": 1})}
        for row in rows:
            type, through = row["_id"], row["through"]
            event = events.get(through)
            if 0 < through <= head and (event is None or (event["type"] == type and through not in still)):
                continue
            last = await _last_gone(log, min(through, head))
            wrong.append(Wrong("expiration", type, {"through": through}, {"through": last} if last else None))
    return wrong


async def mend(log: Log, wrong: Sequence[Wrong]) -> None:
    """Put the notes right, where they are still the same."""
    if not wrong:
        return
    with translated(SECONDS):
        await log.expirations.bulk_write([_change(one) for one in wrong], ordered=False)


def _change(one: Wrong) -> UpdateOne | DeleteOne:
    same: Document = {"_id": one.key, **(one.found or {})}
    return DeleteOne(same) if one.counted is None else UpdateOne(same, {"$set": one.counted})


async def _last_gone(log: Log, high: int) -> int:
    """The last position up to that one at which there is no event; 0 when there is one at each."""
    low = 1
    if high < low or await _events(log, low, high) == high:
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if await _events(log, middle, high) == high - middle + 1:
            high = middle - 1
        else:
            low = middle
    return low


async def _events(log: Log, low: int, high: int) -> int:
    return await log.events.count_documents({"_id": {"$gte": low, "$lte": high}})
