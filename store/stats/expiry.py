"""What is known of expired events, and the housekeeping that keeps this knowledge when their rollups go."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from pymongo import DeleteOne, UpdateOne

from eventscope.store.filters.filter import Filter, TypePatterns, conditions
from eventscope.store.filters.mongo import bson_date, one_of_types
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.own import is_population, is_population_name, is_row, is_row_name
from eventscope.store.state import checkpoint
from eventscope.store.values.moment import HOUR

MOST_SKEW: Final = 60.0
"""Seconds that the clocks of MongoDB and of this machine may differ; beyond it one of them must be wrong."""

PIECE: Final = 1_000  # rows that are in memory at once

logger = logging.getLogger(__name__)


async def expired_through(log: Log, filter: Filter) -> int:
    """The last position at which an event that the filter may mean has expired; 0 when none has."""
    types = [one_of_types(leaf.patterns) for leaf in conditions(filter) if isinstance(leaf, TypePatterns)]
    gone = [{"_id.expireAt": {"$lte": bson_date(log.clock())}}, *({"_id.type": one} for one in types)]
    noted = {"$and": [{"_id": one} for one in types]} if types else {}
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.rollups, [{"$match": {"$and": gone}}, _furthest("$lastPosition")])
        # after the rollups: housekeeping moves rows from there to here, and one of the two must be seen
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
    run twice, at the same time as another one, or to die in. Documents that are none of the log's are left alone:
    `eventscope recount` finds them.
    """
    done = bson_date(log.clock())
    async for hours in _gone(log, log.rollups, "expireAt", done):
        through: dict[str, int] = {}
        for row in hours:
            type = row["_id"]["type"]
            through[type] = max(row["lastPosition"], through.get(type, 0))
        notes = [UpdateOne({"_id": type}, {"$max": {"through": last}}, upsert=True) for type, last in through.items()]
        with translate_errors(log.question_seconds, "expirations"):
            await log.expirations.bulk_write(notes)
        with translate_errors(log.question_seconds):
            await _delete(log.rollups, hours)
    for collection, end in ((log.rollups, "expiryDay"), (log.populations, "expireAt")):
        async for rows in _gone(log, collection, end, done):
            with translate_errors(log.question_seconds):
                await _delete(collection, rows)
    with translate_errors(log.question_seconds):
        await log.rollups.delete_many({"_id.minute": {"$exists": True}, "lastPosition": {"$lt": await _first(log)}})


async def _gone(log: Log, collection: Collection, end: str, done: datetime) -> AsyncIterator[list[Document]]:
    """The rows of the log whose events had expired by then and are gone, some at a time: there may be very many."""
    cursor = collection.find({f"_id.{end}": {"$lte": done}}, batch_size=PIECE)
    while True:
        with translate_errors(log.question_seconds):
            # read before the events are looked for: a row to which an event is added after that is no longer the same
            piece = await cursor.to_list(PIECE)
            oldest = await _oldest_expiry(log) if piece else None
        if not piece:
            return
        if rows := [row for row in piece if _is_ours(row) and (oldest is None or row["_id"][end] < oldest)]:
            yield rows


def _is_ours(row: Document) -> bool:
    if is_population_name(row["_id"]):
        return is_population(row)
    return is_row_name(row["_id"]) and is_row(row["_id"], {name: row[name] for name in row if name != "_id"})


async def _oldest_expiry(log: Log) -> Any:
    """The earliest expiry of all events that are there; None where there is no event that ever expires."""
    expires = {"expireAt": {"$type": "date"}}
    found = await log.events.find(expires, {"expireAt": 1}).sort("expireAt", 1).limit(1).to_list(None)
    return found[0]["expireAt"] if found else None


async def _delete(collection: Collection, rows: list[Document]) -> None:
    """Delete these rows as far as they are still the same."""
    await collection.bulk_write([DeleteOne(row) for row in rows], ordered=False)


async def _first(log: Log) -> int:
    """No event lies before this position, or will."""
    head = await checkpoint.head(log)  # first, for what comes then lies behind it
    found = await log.events.find({"_id": {"$gt": 0}}, {"_id": 1}).sort("_id", 1).limit(1).to_list(None)
    return int(found[0]["_id"]) if found else head + 1
