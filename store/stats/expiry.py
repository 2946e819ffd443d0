"""How far events have expired, and the housekeeping that remembers this when their rollups are deleted."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

from pymongo import DeleteOne, UpdateOne

from eventscope.store.filters.filter import Filter, TypePatterns, conditions
from eventscope.store.filters.mongo import bson_date, one_of_types
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch, fetch_all
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import is_population, is_population_name, is_row, is_row_name
from eventscope.store.state import checkpoint
from eventscope.store.values.moment import HOUR

MOST_SKEW: Final = 60.0
"""Seconds by which the clocks of MongoDB and of this machine may differ; beyond that, one of them must be wrong."""

PIECE: Final = 1_000

logger = logging.getLogger(__name__)


async def expired_through(log: Log, filter: Filter) -> int:
    """The last position at which an expired event may have matched the filter; 0 when there is none."""
    types = [one_of_types(leaf.patterns) for leaf in conditions(filter) if isinstance(leaf, TypePatterns)]
    row_match = [{"_id.expireAt": {"$lte": bson_date(log.clock())}}, *({"_id.type": one} for one in types)]
    note_match = {"$and": [{"_id": one} for one in types]} if types else {}
    with translate_errors(log.question_seconds):
        rows = await log.mongo.aggregate(log.rollups, [{"$match": {"$and": row_match}}, _furthest("$lastPosition")])
        # Read after the rollups: housekeeping moves rows from there to here, so in this order no row is missed.
        rows += await log.mongo.aggregate(log.expirations, [{"$match": note_match}, _furthest("$through")])
    return max((int(row["through"]) for row in rows), default=0)


def _furthest(position: str) -> Document:
    return {"$group": {"_id": None, "through": {"$max": position}}}


class Housekeeping:
    """Tidies up once an hour, since events expire at full hours; but not while the clocks are too far apart."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._last_hour = -1
        self._is_suspended = False

    async def look(self) -> bool:
        """Tidy up if it is due. Returns whether it is done for this hour."""
        hour = self._log.clock() // HOUR
        if hour == self._last_hour:
            return True
        if abs(ahead := self._log.clock_ahead) > MOST_SKEW:
            if not self._is_suspended:
                logger.error(
                    "MongoDB's clock is %.0f s %s this machine's: counts of expired events are not tidied up until "
                    "they differ by less than %.0f s; set both by NTP",
                    abs(ahead),
                    "ahead of" if ahead > 0 else "behind",
                    MOST_SKEW,
                )
            self._is_suspended = True
            return False
        self._is_suspended = False
        await tidy(self._log)
        self._last_hour = hour
        return True


async def tidy(log: Log, piece: int = PIECE) -> None:
    """Delete the rollups of expired events that MongoDB has deleted, after noting their last positions.

    Rollups of events that still exist stay, so the counts always equal a recount. It may run twice, beside another
    process, or be interrupted anywhere. Documents that are not the log's stay untouched: `eventscope recount` reports
    them. At most `piece` rows are in memory at once.
    """
    now = bson_date(log.clock())
    async for hours in _obsolete_rows(log, log.rollups, "expireAt", now, piece):
        through: dict[str, int] = {}
        for row in hours:
            type = row["_id"]["type"]
            through[type] = max(row["lastPosition"], through.get(type, 0))
        notes = [UpdateOne({"_id": type}, {"$max": {"through": last}}, upsert=True) for type, last in through.items()]
        # the note before the deletion: a process that dies in between leaves both, and readers take the larger
        with translate_errors(log.question_seconds, "expirations"):
            await log.expirations.bulk_write(notes)
        with translate_errors(log.question_seconds):
            await _delete(log.rollups, hours)
    for collection, end in ((log.rollups, "expiryDay"), (log.populations, "expireAt")):
        async for rows in _obsolete_rows(log, collection, end, now, piece):
            with translate_errors(log.question_seconds):
                await _delete(collection, rows)
    with translate_errors(log.question_seconds):
        await log.rollups.delete_many({"_id.minute": {"$exists": True}, "lastPosition": {"$lt": await _first(log)}})


async def _obsolete_rows(
    log: Log, collection: Collection, end: str, now: datetime, piece: int
) -> AsyncIterator[list[Document]]:
    """The rows of the log whose events expired before `now` and are deleted; in parts, since there may be very many."""
    cursor = collection.find({f"_id.{end}": {"$lte": now}}, batch_size=piece)
    while True:
        with translate_errors(log.question_seconds):
            # Rows are read before the events. If an event is added to a row after that, the row changes, and `_delete`
            # does not match it.
            part = await fetch(cursor, piece)
            oldest = await _oldest_expiry(log) if part else None
        if not part:
            return
        if rows := [row for row in part if _is_ours(row) and (oldest is None or row["_id"][end] < oldest)]:
            yield rows


def _is_ours(row: Document) -> bool:
    if is_population_name(row["_id"]):
        return is_population(row)
    return is_row_name(row["_id"]) and is_row(row["_id"], {name: row[name] for name in row if name != "_id"})


async def _oldest_expiry(log: Log) -> Any:
    """The earliest expiry of all existing events; None if no event ever expires."""
    query = {"expireAt": {"$exists": True, "$type": "date"}}  # the index has no others
    events = await fetch_all(log.events.find(query, {"expireAt": 1}).sort("expireAt", 1).limit(1))
    return events[0]["expireAt"] if events else None


async def _delete(collection: Collection, rows: list[Document]) -> None:
    """Delete these rows, unless they have changed."""
    await collection.bulk_write([DeleteOne(row) for row in rows], ordered=False)


async def _first(log: Log) -> int:
    """The first position of the log: no event lies before it, or ever will."""
    head = await checkpoint.head(log)  # read first: later events lie after it
    events = await fetch_all(log.events.find({"_id": {"$gt": 0}}, {"_id": 1}).sort("_id", 1).limit(1))
    return int(events[0]["_id"]) if events else head + 1
