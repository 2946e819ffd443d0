"""The notes of how far events have expired, compared with the events that still exist."""

from collections.abc import Sequence
from typing import Final

from pymongo import DeleteOne, ReplaceOne

from eventscope.store.filters.mongo import unexpired
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import is_note
from eventscope.store.recount.difference import Difference, foreign, remove
from eventscope.store.state import checkpoint

SECONDS: Final = 240.0


async def differences(log: Log) -> list[Difference]:
    """The notes that cannot be true: the event at their position has not expired, or never existed.

    Of deleted events only the positions are known. So a wrong note is corrected to the last empty position before it; a
    damaged one to the last empty position of the log.
    """
    head = await checkpoint.head(log)
    with translate_errors(SECONDS):
        rows = await fetch_all(log.expirations.find({}))
        wrong = [foreign("expirations", row) for row in rows if not isinstance(row["_id"], str)]
        rows = [row for row in rows if isinstance(row["_id"], str)]
        query = {"_id": {"$in": [row["through"] for row in rows if is_note(row)]}}
        events = {row["_id"]: row async for row in log.events.find(query, {"type": 1, "expireAt": 1})}
        unexpired_positions = {
            row["_id"] async for row in log.events.find({**query, **unexpired(log.clock())}, {"_id": 1})
        }
        for row in rows:
            type = row["_id"]
            through = row["through"] if is_note(row) else head
            event = events.get(through)
            has_expired = event is None or (event.get("type") == type and through not in unexpired_positions)
            if is_note(row) and 0 < through <= head and has_expired:
                continue
            last = await _last_empty(log, min(through, head))
            members = {name: value for name, value in row.items() if name != "_id"}
            wrong.append(Difference("expiration", type, members, {"through": last} if last else None))
    return wrong


async def repair(log: Log, wrong: Sequence[Difference]) -> None:
    """Correct the notes, unless they have changed."""
    if not wrong:
        return
    with translate_errors(SECONDS):
        await remove(log.expirations, wrong)
        if changes := [_change(one) for one in wrong if one.kind != "foreign"]:
            await log.expirations.bulk_write(changes, ordered=False)


def _change(one: Difference) -> ReplaceOne[Document] | DeleteOne:
    same: Document = {"_id": one.key, "through": {"$eq": (one.found or {}).get("through")}}
    return DeleteOne(same) if one.counted is None else ReplaceOne(same, one.counted)


async def _last_empty(log: Log, high: int) -> int:
    """The last position up to `high` without an event; 0 if every position has one."""
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
