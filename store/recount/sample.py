"""A random sample of derived documents, compared with their events at one moment.

It costs little and may miss errors; but what it reports is certainly wrong.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from eventscope.errors import EventscopeError, QuestionTimedOut
from eventscope.store import heads
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.shapes import HEADS, is_event, is_population, is_row, is_row_name
from eventscope.store.recount import expirations, tally
from eventscope.store.recount.difference import Difference, soon
from eventscope.store.recount.heads import difference, entry_of
from eventscope.store.state import checkpoint
from eventscope.store.stats.rollups import NEVER, day_key, expiry_day, hour_key
from eventscope.store.values.moment import HOUR, hour_of, minute_of

NEAR: Final = 2_000  # positions beyond either end of a row that are searched for its events too
MOST_HEADS: Final = 20_000  # of a type and an hour of expiry
MOST_LOGGED: Final = 1_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SampleLimits:
    """How much a sample looks at, and how often one is taken."""

    seconds: float = 0.5
    most_span: int = 100_000
    """Positions that a row may span."""
    most_events: int = 5_000
    """Events that an aggregate may have."""
    pause_seconds: float = 60.0
    """The pause between two samples."""
    failure_seconds: float = 600.0
    """The further pause after an unexpected error."""


LIMITS: Final = SampleLimits()


async def sample(log: Log, chance: random.Random, limits: SampleLimits = LIMITS) -> list[Difference]:
    """What is wrong with the data derived from one event, and in one row of counts; empty if checking takes too long.

    Raises Unavailable when MongoDB is away.
    """
    wrong: list[Difference | None] = []
    try:
        with translate_errors(limits.seconds):
            async with log.mongo.snapshot() as session:
                head = (await checkpoint.read(log, session=session)).head
                if (event := await _event(log, head, chance, session)) is not None:
                    wrong.append(await _hour(log, _key(event), event["_id"], session, limits.most_span))
                    wrong += [await _minute(log, event, session), await _day(log, event, session)]
                    wrong += await _aggregate(log, event, head, session, limits.most_events)
                if (key := await _row(log, chance, session)) is not None:
                    wrong.append(await _hour(log, key, None, session, limits.most_span))
    except QuestionTimedOut:
        logger.debug("a sample of derived data took too long")
    return list({one.name: one for one in wrong if one is not None}.values())


async def several(log: Log, times: int, seconds: float, limits: SampleLimits = LIMITS) -> list[Difference]:
    """What `times` samples find within `seconds`, and the wrong notes of expired events.

    Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    loop, chance = asyncio.get_running_loop(), random.Random()
    until = loop.time() + seconds
    wrong = {one.name: one for one in await expirations.differences(log)}
    for _ in range(times):
        if loop.time() >= until:
            break
        wrong |= {one.name: one for one in await sample(log, chance, limits)}
    return list(wrong.values())


async def keep_watch(log: Log, holder: str, report: Callable[[int], None], limits: SampleLimits = LIMITS) -> None:
    """Take samples until cancelled, while `holder` has the lease. Log what is wrong, each document once.

    `report` gets the number of wrong documents of each sample.
    """
    chance = random.Random()
    logged: set[str] = set()
    while True:
        await asyncio.sleep(limits.pause_seconds * chance.uniform(0.8, 1.2))
        try:
            if (await checkpoint.read(log)).holder != holder:
                continue
            wrong = await sample(log, chance, limits)
        except EventscopeError as error:
            logger.debug("no sample of derived data can be taken now: %s", error)
            continue
        except Exception:  # ingest must go on, whatever fails here
            logger.exception("no sample of derived data can be taken")
            await asyncio.sleep(limits.failure_seconds)
            continue
        report(len(wrong))
        for one in wrong:
            if one.name not in logged and len(logged) < MOST_LOGGED:
                logged.add(one.name)
                logger.error("wrong derived data: %s; run `eventscope recount`", one)


async def _event(log: Log, head: int, chance: random.Random, session: Session) -> Document | None:
    first = await fetch_all(log.events.find(tally.FROM_START, {"_id": 1}, session=session).sort("_id", 1).limit(1))
    if not first:
        return None
    low = first[0]["_id"]
    range = {"_id": {"$gte": chance.randint(low, max(low, head)), "$lte": head}}
    query = {**range, **tally.OURS, "expireAt": {"$not": {"$lte": soon(log)}}}
    events = await fetch_all(log.events.find(query, {"data": 0}, session=session).sort("_id", 1).limit(1))
    return events[0] if events and is_event(events[0]) else None


async def _row(log: Log, chance: random.Random, session: Session) -> Document | None:
    ends = [
        await log.rollups.find({"_id.hour": {"$type": "number"}}, session=session)
        .sort("_id.hour", way)
        .limit(1)
        .to_list(None)
        for way in (1, -1)
    ]
    if not all(ends):
        return None
    if not all(is_row_name(end[0]["_id"]) for end in ends):
        return None
    low, high = (end[0]["_id"]["hour"] for end in ends)
    query = {"_id.hour": {"$gte": chance.randint(low, high)}, "_id.expireAt": {"$not": {"$lte": soon(log)}}}
    rows = await fetch_all(log.rollups.find(query, session=session).sort("_id.hour", 1).limit(10))
    names = [row["_id"] for row in rows if is_row_name(row["_id"])]
    return chance.choice(names) if names else None


def _key(event: Document) -> Document:
    return hour_key((hour_of(event["timestamp"]), event["type"], event.get("aggregateType"), event.get("expireAt")))


async def _hour(log: Log, key: Document, position: int | None, session: Session, most_span: int) -> Difference | None:
    document = await log.rollups.find_one({"_id": key}, session=session)
    row = None if document is None else {name: value for name, value in document.items() if name != "_id"}
    positions = tally.end_positions([row or {}]) + ([] if position is None else [position])
    low, high = min(positions, default=0), max(positions, default=0)
    if high - low > most_span:
        return None
    match = {
        "_id": {"$gte": low - NEAR, "$lte": high + NEAR},
        "type": key["type"],
        "timestamp": {"$gte": key["hour"], "$lt": key["hour"] + HOUR},
        "aggregateType": key["aggregateType"],  # None also matches a missing member
        "expireAt": key["expireAt"],
    }
    counted = await tally.hour_rows(log, match, session=session)
    correct = counted[0][1] if counted else None
    sound = row is None or is_row(key, row)
    return None if correct == row and sound else Difference("hour", key, row, correct)


async def _minute(log: Log, event: Document, session: Session) -> Difference | None:
    key, position = {"minute": minute_of(event["timestamp"])}, event["_id"]
    row = await log.rollups.find_one({"_id": key}, {"_id": 0}, session=session)
    # if there is no row, an older version may have stored the event
    if row is None or (is_row(key, row) and row["firstPosition"] <= position <= row["lastPosition"]):
        return None
    known = row if is_row(key, row) else None
    return Difference("minute", key, row, tally.union(known, {"firstPosition": position, "lastPosition": position}))


async def _day(log: Log, event: Document, session: Session) -> Difference | None:
    """The row of a day of expiry must be the sum of its hours."""
    type, aggregate_type = event["type"], event.get("aggregateType")
    day = expiry_day(event.get("expireAt"))
    if day <= expiry_day(soon(log)):
        return None
    key = day_key(type, aggregate_type, day)
    document = await log.rollups.find_one({"_id": key}, {"_id": 0}, session=session)
    expiry: Any = None if day == NEVER else {"$gt": day - timedelta(days=1), "$lte": day}
    query = {
        "_id.type": type,
        "_id.aggregateType": aggregate_type,
        "_id.hour": {"$exists": True},
        "_id.expireAt": expiry,
    }
    row: Document = {}
    async for hour in log.rollups.find(query, session=session):
        name = hour.pop("_id")
        if not (is_row_name(name) and is_row(name, hour)):
            return None  # that row itself is wrong
        row = tally.union(row or None, hour)
    sound = document is None or is_row(key, document)
    return None if document == (row or None) and sound else Difference("day", key, document, row or None)


async def _aggregate(
    log: Log, event: Document, head: int, session: Session, most_events: int
) -> list[Difference | None]:
    name = heads.name(event) if "version" in event else None
    if name is None:
        return []
    version = {"aggregateType": name[0], "aggregateId": name[1], "version": {"$exists": True}}
    if await log.events.count_documents(version, limit=most_events + 1, session=session) > most_events:
        return []
    entry = await entry_of(log, name, session=session)
    wrong = await difference(log, entry, head, session)
    if wrong is not None or entry.head is None:
        return [wrong]
    return [await _population(log, *heads.population(entry.head), session)]


async def _population(log: Log, type: str, expiry: datetime | None, session: Session) -> Difference | None:
    key = {"aggregateType": type, "expireAt": expiry}
    row = await log.populations.find_one({"_id": key}, session=session) or {"_id": key, "n": 0}
    n = row["n"] if is_population(row) else None
    query = HEADS | {"_id.type": type, "expireAt": expiry}
    counted = await log.aggregates.count_documents(query, limit=MOST_HEADS, session=session)
    if n is not None and (n == counted or (counted == MOST_HEADS and n > counted)):
        return None
    return Difference("population", key, {name: row[name] for name in row if name != "_id"}, {"n": counted})
