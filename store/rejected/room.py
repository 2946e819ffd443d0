"""The bound of the rejected messages: where they take more room than they may, the oldest are dropped, and counted.

What is counted comes first, with the number up to which it counts, and the messages go after it. So whoever dies in
between counts nothing twice, and the next one takes away what is counted already.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from eventscope.errors import Blocked
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.values.documents import INTEGERS

ID: Final = "rejected"  # in `meta`
LEFT: Final = 0.9  # of the bound, so that not every message that comes pushes one out
STEP: Final = 1000  # messages that are dropped at once


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was dropped for want of room, ever: how many of each code, the most frequent first, and between when."""

    codes: Mapping[str, int]
    since: int
    last: int

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(self.codes.values())


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one call of `trim` dropped: how many of each code, up to which number."""

    codes: Mapping[str, int]
    through: int


async def dropped(log: Log) -> Dropped | None:
    """What was dropped so far; None when nothing was. Blocked when the account of it is damaged."""
    with translate_errors(log.question_seconds):
        found = await _account(log)
    if "codes" not in found:
        return None
    ordered = sorted(found["codes"].items(), key=lambda item: (-item[1], item[0]))
    return Dropped(dict(ordered), found["since"], found["last"])


async def _account(log: Log) -> Document:
    found = await log.meta.find_one({"_id": ID}) or {}
    codes = found.get("codes", {})
    numbers = [found[name] for name in ("since", "last", "through") if name in found]
    if isinstance(codes, Mapping) and all(type(number) in INTEGERS for number in (*codes.values(), *numbers)):
        return found
    raise Blocked(
        'the account of dropped messages in meta is damaged: db.meta.deleteOne({_id: "rejected"}) lets it begin anew'
    )


async def trim(log: Log, most_bytes: int, seconds: float) -> Trimmed | None:
    """Drop the oldest rejected messages until all take less than `most_bytes`, or the time is up; None if none had to.

    The size is MongoDB's own figure, without compression and indexes. What has expired is taken away with the others,
    and not counted. Raises Unavailable or QuestionTimedOut, and Blocked when the account of the dropped is damaged.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    codes: Counter[str] = Counter()
    with translate_errors(log.question_seconds):
        if (await _size(log))[0] <= most_bytes:
            return None
        through = int((await _account(log)).get("through", 0))
        await log.rejected.delete_many({"_id": {"$lte": through}})  # what somebody died over
        size, n = await _size(log)  # anew, for somebody else may just have made room
        while size > most_bytes * LEFT and loop.time() < end:
            surplus = size - most_bytes * LEFT
            rows = await _oldest(log, min(STEP, math.ceil(surplus * n / size)), surplus)
            if not rows:
                break
            counted = Counter(row["code"] for row in rows if not row["expired"])
            if not await _count(log, counted, through, rows[-1]["_id"]):
                break  # somebody else drops them
            through = rows[-1]["_id"]
            await log.rejected.delete_many({"_id": {"$lte": through}})
            codes += counted
            size, n = size - sum(row["size"] for row in rows), max(1, n - len(rows))
    return Trimmed(dict(codes.most_common()), through)


async def _size(log: Log) -> tuple[int, int]:
    [found] = await log.mongo.aggregate(log.rejected, [{"$collStats": {"storageStats": {}}}])
    stats: Any = found["storageStats"]
    return int(stats["size"]), max(1, int(stats["count"]))


async def _oldest(log: Log, most: int, surplus: float) -> list[Document]:
    """At most so many of the oldest, and no more than make up for the surplus."""
    now = bson_date(log.clock())
    rows = await log.mongo.aggregate(
        log.rejected,
        [
            {"$sort": {"_id": 1}},
            {"$limit": most},
            {
                "$project": {
                    "code": 1,
                    "size": {"$bsonSize": "$$ROOT"},
                    "expired": {"$and": [{"$gt": ["$expireAt", None]}, {"$lte": ["$expireAt", now]}]},
                }
            },
        ],
    )
    taken, size = 0, 0
    while taken < len(rows) and size < surplus:
        size += rows[taken]["size"]
        taken += 1
    return rows[:taken]


async def _count(log: Log, codes: Counter[str], above: int, through: int) -> bool:
    """Note that these go, unless somebody else has noted any above that number."""
    now = log.clock()
    changes: Document = {
        "$set": {"through": through, "last": now},
        "$min": {"since": now},
        "$inc": {f"codes.{code}": n for code, n in codes.items()},
    }
    if not codes:  # all of them had expired
        changes = {"$set": {"through": through}}
    at: Document = {"_id": ID, "through": above}
    try:
        outcome = await log.meta.update_one(at, changes, upsert=above == 0)
    except DuplicateKeyError:
        return False
    return outcome.matched_count == 1 or outcome.upserted_id is not None
