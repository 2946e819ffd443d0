"""A look at a few derived documents, chosen by chance, that are held against their events at one moment.

It costs little, and may miss something; what it reports is wrong for certain.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from eventscope.errors import EventscopeError, QuestionTimedOut
from eventscope.store import heads
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.own import HEADS, is_event, is_population, is_row, is_row_name
from eventscope.store.recount import expirations, tally
from eventscope.store.recount.heads import entry_of, look
from eventscope.store.recount.wrong import Wrong, soon
from eventscope.store.state import checkpoint
from eventscope.store.stats.rollups import NEVER, day_key, expiry_day, hour_key
from eventscope.store.values.moment import HOUR, hour_of, minute_of

SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 60.0
FAILED_SECONDS: Final = 600.0
NEAR: Final = 2_000  # positions before and after the ends of a row, between which its events are looked for
MOST_SPAN: Final = 100_000  # positions that a row may reach over
MOST_EVENTS: Final = 5_000  # of an aggregate
MOST_HEADS: Final = 20_000  # of a type and an hour of expiry
MOST_REMEMBERED: Final = 1_000

logger = logging.getLogger(__name__)


async def sample(log: Log, chance: random.Random) -> list[Wrong]:
    """What is derived wrongly of one event and in one row of counts; nothing where looking would take too long.

    Raises Unavailable when MongoDB is away.
    """
    wrong: list[Wrong | None] = []
    try:
        with translate_errors(SECONDS):
            async with log.mongo.session(snapshot=True) as session:
                head = (await checkpoint.read(log, session=session)).head
                if (event := await _event(log, head, chance, session)) is not None:
                    wrong += [await _hour(log, _key(event), event["_id"], session), await _minute(log, event, session)]
                    wrong += [await _day(log, event, session), *await _aggregate(log, event, head, session)]
                if (key := await _row(log, chance, session)) is not None:
                    wrong.append(await _hour(log, key, None, session))
    except QuestionTimedOut:
        logger.debug("a sample of what is derived took too long")
    return list({one.name: one for one in wrong if one is not None}.values())


async def several(log: Log, times: int, seconds: float) -> list[Wrong]:
    """What so many samples find, or as many as there is time for, and what is noted wrongly of expired events.

    Raises Unavailable or QuestionTimedOut when MongoDB is away.
    """
    loop, chance = asyncio.get_running_loop(), random.Random()
    until = loop.time() + seconds
    wrong = {one.name: one for one in await expirations.differences(log)}
    for _ in range(times):
        if loop.time() >= until:
            break
        wrong |= {one.name: one for one in await sample(log, chance)}
    return list(wrong.values())


async def keep_watch(log: Log, holder: str, found: Callable[[int], None]) -> None:
    """Take a sample now and then, until cancelled, while that holder has the lease; say what is wrong, each thing once.

    `found` is told how many documents were wrong.
    """
    chance = random.Random()
    said: set[str] = set()
    while True:
        await asyncio.sleep(PAUSE_SECONDS * chance.uniform(0.8, 1.2))
        try:
            if (await checkpoint.read(log)).holder != holder:
                continue
            wrong = await sample(log, chance)
        except EventscopeError as error:
            logger.debug("no sample of what is derived is taken now: %s", error)
            continue
        except Exception:  # ingest goes on, whatever is wrong here
            logger.exception("no sample of what is derived can be taken")
            await asyncio.sleep(FAILED_SECONDS)
            continue
        found(len(wrong))
        for one in wrong:
            if one.name not in said and len(said) < MOST_REMEMBERED:
                said.add(one.name)
                logger.error("derived wrongly: %s; run `eventscope recount`", one)


async def _event(log: Log, head: int, chance: random.Random, session: Session) -> Document | None:
    first = await log.events.find(tally.FROM_START, {"_id": 1}, session=session).sort("_id", 1).limit(1).to_list(None)
    if not first:
        return None
    low = first[0]["_id"]
    places = {"_id": {"$gte": chance.randint(low, max(low, head)), "$lte": head}}
    asked = {**places, **tally.OURS, "expireAt": {"$not": {"$lte": soon(log)}}}
    found = await log.events.find(asked, {"data": 0}, session=session).sort("_id", 1).limit(1).to_list(None)
    return found[0] if found and is_event(found[0]) else None


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
    asked = {"_id.hour": {"$gte": chance.randint(low, high)}, "_id.expireAt": {"$not": {"$lte": soon(log)}}}
    found = await log.rollups.find(asked, session=session).sort("_id.hour", 1).limit(10).to_list(None)
    names = [row["_id"] for row in found if is_row_name(row["_id"])]
    return chance.choice(names) if names else None


def _key(event: Document) -> Document:
    return hour_key((hour_of(event["timestamp"]), event["type"], event.get("aggregateType"), event.get("expireAt")))


async def _hour(log: Log, key: Document, position: int | None, session: Session) -> Wrong | None:
    found = await log.rollups.find_one({"_id": key}, session=session)
    row = None if found is None else {name: value for name, value in found.items() if name != "_id"}
    positions = tally.end_positions([row or {}]) + ([] if position is None else [position])
    low, high = min(positions, default=0), max(positions, default=0)
    if high - low > MOST_SPAN:
        return None
    match = {
        "_id": {"$gte": low - NEAR, "$lte": high + NEAR},
        "type": key["type"],
        "timestamp": {"$gte": key["hour"], "$lt": key["hour"] + HOUR},
        "aggregateType": key["aggregateType"],  # None where there is none
        "expireAt": key["expireAt"],
    }
    counted = await tally.hour_rows(log, match, session=session)
    right = counted[0][1] if counted else None
    sound = row is None or is_row(key, row)
    return None if right == row and sound else Wrong("hour", key, row, right)


async def _minute(log: Log, event: Document, session: Session) -> Wrong | None:
    key, position = {"minute": minute_of(event["timestamp"])}, event["_id"]
    row = await log.rollups.find_one({"_id": key}, {"_id": 0}, session=session)
    # where there is none, an older version may have stored the event
    if row is None or (is_row(key, row) and row["firstPosition"] <= position <= row["lastPosition"]):
        return None
    known = row if is_row(key, row) else None
    return Wrong("minute", key, row, tally.union(known, {"firstPosition": position, "lastPosition": position}))


async def _day(log: Log, event: Document, session: Session) -> Wrong | None:
    """All hours of a day of expiry make up the day."""
    type, aggregate_type = event["type"], event.get("aggregateType")
    day = expiry_day(event.get("expireAt"))
    if day <= expiry_day(soon(log)):
        return None
    key = day_key(type, aggregate_type, day)
    found = await log.rollups.find_one({"_id": key}, {"_id": 0}, session=session)
    expiry: Any = None if day == NEVER else {"$gt": day - timedelta(days=1), "$lte": day}
    asked = {
        "_id.type": type,
        "_id.aggregateType": aggregate_type,
        "_id.hour": {"$exists": True},
        "_id.expireAt": expiry,
    }
    row: Document = {}
    async for hour in log.rollups.find(asked, session=session):
        name = hour.pop("_id")
        if not (is_row_name(name) and is_row(name, hour)):
            return None  # which is wrong itself
        row = tally.union(row or None, hour)
    sound = found is None or is_row(key, found)
    return None if found == (row or None) and sound else Wrong("day", key, found, row or None)


async def _aggregate(log: Log, event: Document, head: int, session: Session) -> list[Wrong | None]:
    name = heads.name(event) if "version" in event else None
    if name is None:
        return []
    version = {"aggregateType": name[0], "aggregateId": name[1], "version": {"$exists": True}}
    if await log.events.count_documents(version, limit=MOST_EVENTS + 1, session=session) > MOST_EVENTS:
        return []
    entry = await entry_of(log, name, session=session)
    wrong = await look(log, entry, head, session)
    if wrong is not None or entry.head is None:
        return [wrong]
    return [await _population(log, *heads.population(entry.head), session)]


async def _population(log: Log, type: str, expiry: datetime | None, session: Session) -> Wrong | None:
    key = {"aggregateType": type, "expireAt": expiry}
    row = await log.populations.find_one({"_id": key}, session=session) or {"_id": key, "n": 0}
    there = row["n"] if is_population(row) else None
    asked = HEADS | {"_id.type": type, "expireAt": expiry}
    counted = await log.aggregates.count_documents(asked, limit=MOST_HEADS, session=session)
    if there is not None and (there == counted or (counted == MOST_HEADS and there > counted)):
        return None
    return Wrong("population", key, {name: row[name] for name in row if name != "_id"}, {"n": counted})
