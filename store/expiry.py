"""What is known of expired events, and the housekeeping that keeps this knowledge when their rollups go."""

import logging
from dataclasses import dataclass
from typing import Any, Final

from pymongo import DeleteOne, UpdateOne

from eventscope.store import checkpoint
from eventscope.store.driver import Collection, Document, translated
from eventscope.store.filter import Filter, Types, conditions
from eventscope.store.log import Log
from eventscope.store.moment import HOUR
from eventscope.store.query import bson_date, one_of_types

MOST_SKEW: Final = 60.0
"""Seconds that the clocks of MongoDB and of this machine may differ; beyond it one of them must be wrong."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Expired:
    """Of one type: the last position of an event that has expired."""

    type: str
    through: int


async def expired(log: Log, now: int | None = None) -> list[Expired]:
    """What has expired by now, by type: for housekeeping, as there may be any number of types."""
    done = bson_date(log.clock() if now is None else now)
    with translated(log.question_seconds):
        rows = await log.mongo.aggregate(
            log.rollups,
            [
                {"$match": {"_id.expireAt": {"$lte": done}}},
                {"$group": {"_id": "$_id.type", "through": {"$max": "$lastPosition"}}},
            ],
        )
        # after the rollups: housekeeping moves rows from there to here, and one of the two must be seen
        ledger = await log.expirations.find({}).to_list(None)
    through: dict[str, int] = {}
    for row in [*rows, *ledger]:
        through[row["_id"]] = max(row["through"], through.get(row["_id"], 0))
    return [Expired(type, position) for type, position in through.items()]


async def expired_through(log: Log, filter: Filter) -> int:
    """The last position at which an event that the filter may mean has expired; 0 when none has."""
    types = [one_of_types(leaf.patterns) for leaf in conditions(filter) if isinstance(leaf, Types)]
    gone = [{"_id.expireAt": {"$lte": bson_date(log.clock())}}, *({"_id.type": one} for one in types)]
    noted = {"$and": [{"_id": one} for one in types]} if types else {}
    with translated(log.question_seconds):
        rows = await log.mongo.aggregate(log.rollups, [{"$match": {"$and": gone}}, _furthest("$lastPosition")])
        # after the rollups, as above
        rows += await log.mongo.aggregate(log.expirations, [{"$match": noted}, _furthest("$through")])
    return max((int(row["through"]) for row in rows), default=0)


def _furthest(position: str) -> Document:
    return {"$group": {"_id": None, "through": {"$max": position}}}


class Housekeeping:
    """Tidies once an hour, at the end of which events expire; refuses while the clocks are too far apart."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tidied = -1
        self._refusing = False

    async def look(self) -> bool:
        """Tidy if it is due; whether it is done for this hour."""
        hour = self._log.clock() // HOUR
        if hour == self._tidied:
            return True
        if abs(ahead := self._log.clock_ahead) > MOST_SKEW:
            if not self._refusing:
                logger.error(
                    "MongoDB's clock is %.0f s %s this machine's: counts of expired events are not tidied up until "
                    "they agree to %.0f s; set both by NTP",
                    abs(ahead),
                    "ahead of" if ahead > 0 else "behind",
                    MOST_SKEW,
                )
            self._refusing = True
            return False
        self._refusing = False
        await tidy(self._log)
        self._tidied = hour
        return True


async def tidy(log: Log) -> None:
    """Take away rollups of events that have expired and are gone, after noting how far they reached.

    What MongoDB has not deleted yet stays counted, so nothing is taken away that the events could still give. Safe to
    run twice, at the same time as another one, or to die in.
    """
    with translated(log.question_seconds):
        # read before the events are looked for: a row to which an event is added after that is not the same any more
        done = bson_date(log.clock())
        hours = await log.rollups.find({"_id.expireAt": {"$lte": done}}).to_list(None)
        days = await log.rollups.find({"_id.expiryDay": {"$lte": done}}).to_list(None)
        populations = await log.populations.find({"_id.expireAt": {"$lte": done}}).to_list(None)
        oldest = await _oldest_expiry(log)

        def gone(rows: list[Document], end: str) -> list[Document]:
            return [row for row in rows if oldest is None or row["_id"][end] < oldest]

        through: dict[str, int] = {}
        for row in gone(hours, "expireAt"):
            type = row["_id"]["type"]
            through[type] = max(row["lastPosition"], through.get(type, 0))
        if through:
            await log.expirations.bulk_write(
                [UpdateOne({"_id": type}, {"$max": {"through": last}}, upsert=True) for type, last in through.items()]
            )
        await _delete(log.rollups, [*gone(hours, "expireAt"), *gone(days, "expiryDay")])
        await _delete(log.populations, gone(populations, "expireAt"))
        await log.rollups.delete_many({"_id.minute": {"$exists": True}, "lastPosition": {"$lt": await _first(log)}})


async def _oldest_expiry(log: Log) -> Any:
    """The earliest expiry of all events that are there; None where there is no event that ever expires."""
    expires = {"expireAt": {"$type": "date"}}
    found = await log.events.find(expires, {"expireAt": 1}).sort("expireAt", 1).limit(1).to_list(None)
    return found[0]["expireAt"] if found else None


async def _delete(collection: Collection, rows: list[Document]) -> None:
    """Delete these rows as far as they are still the same."""
    if rows:
        await collection.bulk_write([DeleteOne(row) for row in rows], ordered=False)


async def _first(log: Log) -> int:
    """No event lies before this position, or will."""
    head = await checkpoint.head(log)  # first, for what comes then lies behind it
    found = await log.events.find({}, {"_id": 1}).sort("_id", 1).limit(1).to_list(None)
    return int(found[0]["_id"]) if found else head + 1
