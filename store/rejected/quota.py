"""The quota of rejected messages: when they take more bytes than they may, the oldest are dropped, and counted.

They are first counted, with a note of the highest number counted, and then deleted. So a process that dies in between
counts nothing twice, and the next one deletes what is already counted.
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
REMAINDER: Final = 0.9  # of the limit, so that not every new message drops an old one
STEP: Final = 1000


@dataclass(frozen=True, slots=True)
class Dropped:
    """All messages ever dropped to stay within the limit: how many of each code, most frequent first, and when."""

    codes: Mapping[str, int]
    since: int
    last: int

    @property
    def count(self) -> int:
        """How many in total."""
        return sum(self.codes.values())


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What one call of `trim` dropped: how many of each code, and up to which number."""

    codes: Mapping[str, int]
    through: int


async def dropped(log: Log) -> Dropped | None:
    """What was dropped so far; None if nothing was. Blocked when the account of it is damaged."""
    with translate_errors(log.question_seconds):
        account = await _account(log)
    if "codes" not in account:
        return None
    ordered = sorted(account["codes"].items(), key=lambda item: (-item[1], item[0]))
    return Dropped(dict(ordered), account["since"], account["last"])


async def _account(log: Log) -> Document:
    account = await log.meta.find_one({"_id": ID}) or {}
    codes = account.get("codes", {})
    numbers = [account[name] for name in ("since", "last", "through") if name in account]
    if isinstance(codes, Mapping) and all(type(number) in INTEGERS for number in (*codes.values(), *numbers)):
        return account
    raise Blocked(
        'the account of dropped messages in meta is damaged: db.meta.deleteOne({_id: "rejected"}) starts a new one'
    )


async def trim(log: Log, most_bytes: int, seconds: float, step: int = STEP) -> Trimmed | None:
    """Drop the oldest rejected messages until they take less than `most_bytes` or time is up; None if they already do.

    The size is MongoDB's own figure, without compression and indexes. At most `step` messages are dropped at once.
    Expired messages are deleted too, but not counted. Raises Unavailable or QuestionTimedOut, and Blocked when the
    account of the dropped messages is damaged.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    codes: Counter[str] = Counter()
    with translate_errors(log.question_seconds):
        if (await _size(log))[0] <= most_bytes:
            return None
        through = int((await _account(log)).get("through", 0))
        await log.rejected.delete_many(
            {"_id": {"$lte": through}}
        )  # counted by a process that died before it deleted them
        size, n = await _size(log)  # again, since another process may just have dropped some
        while size > most_bytes * REMAINDER and loop.time() < end:
            surplus = size - most_bytes * REMAINDER
            rows = await _oldest(log, min(step, math.ceil(surplus * n / size)), surplus)
            if not rows:
                break
            tally = Counter(row["code"] for row in rows if not row["expired"])
            if not await _count(log, tally, through, rows[-1]["_id"]):
                break  # another process is dropping them
            through = rows[-1]["_id"]  # counted; if this process dies here, the next `trim` deletes up to it
            await log.rejected.delete_many({"_id": {"$lte": through}})
            codes += tally
            size, n = size - sum(row["size"] for row in rows), max(1, n - len(rows))
    return Trimmed(dict(codes.most_common()), through)


async def _size(log: Log) -> tuple[int, int]:
    [result] = await log.mongo.aggregate(log.rejected, [{"$collStats": {"storageStats": {}}}])
    stats: Any = result["storageStats"]
    return int(stats["size"]), max(1, int(stats["count"]))


async def _oldest(log: Log, most: int, surplus: float) -> list[Document]:
    """At most `most` of the oldest, and no more than the surplus needs."""
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
    count, size = 0, 0
    while count < len(rows) and size < surplus:
        size += rows[count]["size"]
        count += 1
    return rows[:count]


async def _count(log: Log, codes: Counter[str], above: int, through: int) -> bool:
    """Count these as dropped. False if another process has counted any above that number."""
    now = log.clock()
    changes: Document = {
        "$set": {"through": through, "last": now},
        "$min": {"since": now},
        "$inc": {f"codes.{code}": n for code, n in codes.items()},
    }
    if not codes:  # all of them have expired
        changes = {"$set": {"through": through}}
    at: Document = {"_id": ID, "through": above}
    try:
        outcome = await log.meta.update_one(at, changes, upsert=above == 0)
    except DuplicateKeyError:
        return False
    return outcome.matched_count == 1 or outcome.upserted_id is not None
