"""A sample finds what is derived wrongly, sooner or later, and never reports what is right."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from eventscope.background import end
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.recount import sample
from eventscope.store.recount.sample import SampleLimits
from eventscope.store.state import checkpoint
from eventscope.store.stats import expiry
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.support.until import until

PATIENT = SampleLimits(seconds=30.0)  # lets a sample be taken however busy the machine is
RETENTION = Retention({"*": 30, "user.*": 0, "brief": 0.1})
HOUR_ROW = {"_id.hour": {"$exists": True}, "_id.type": "user.created"}
DAY_ROW = {"_id.expiryDay": {"$exists": True}, "_id.type": "user.created"}


async def fill(appender: Appender, clock: Clock, chance: random.Random, batches: int) -> None:
    appender.retention = RETENTION
    for _ in range(batches):
        clock.now += chance.randrange(2 * HOUR)
        types = [chance.choice(("user.created", "user.deleted", "order.placed", "brief")) for _ in range(6)]
        of = [("user" if type.startswith("user") else "order", chance.choice("abcd")) for type in types]
        at = [clock.now - chance.randrange(3 * HOUR) for _ in types]
        messages = (event(type, of=name, at=time) for type, name, time in zip(types, of, at, strict=True))
        await appender.store(*messages, event("alone"))


@pytest.fixture
def chance() -> random.Random:
    return random.Random(24)


async def test_a_sample_reports_nothing_correct_as_wrong_while_events_come_and_go(
    log: Log, appender: Appender, clock: Clock, chance: random.Random
) -> None:
    done = asyncio.Event()

    async def look() -> int:
        looks = 0
        while not done.is_set():
            assert await sample.sample(log, chance, PATIENT) == []
            looks += 1
        return looks

    looking = [asyncio.create_task(look()) for _ in range(3)]
    for _ in range(15):
        await fill(appender, clock, chance, 2)
        clock.now += HOUR
        await log.events.delete_many({"expireAt": {"$lte": bson_date(clock.now)}})
        await expiry.tidy(log)
    done.set()
    assert min(await asyncio.gather(*looking)) > 0
    assert await sample.several(log, 30, 60, PATIENT) == []


DAMAGE: dict[str, tuple[str, Callable[[Log], Any]]] = {
    "no row of an hour": ("hour", lambda log: log.rollups.delete_many(HOUR_ROW)),
    "too many in an hour": ("hour", lambda log: log.rollups.update_many(HOUR_ROW, {"$inc": {"n": 1}})),
    "a row of an hour for nothing": (
        "hour",
        lambda log: log.rollups.insert_one(
            {
                "_id": {"hour": NOON - NOON % HOUR, "type": "x", "aggregateType": None, "expireAt": None},
                "n": 3,
                "firstPosition": 1,
                "lastPosition": 3,
                "earliest": NOON,
                "latest": NOON,
            }
        ),
    ),
    "no row of a day": ("day", lambda log: log.rollups.delete_many(DAY_ROW)),
    "too few in a day": ("day", lambda log: log.rollups.update_many(DAY_ROW, {"$inc": {"n": -1}})),
    "a minute in the wrong place": (
        "minute",
        lambda log: log.rollups.update_many(
            {"_id.minute": {"$exists": True}}, {"$set": {"firstPosition": 10**6, "lastPosition": 10**6}}
        ),
    ),
    "no head": ("head", lambda log: log.aggregates.delete_many({"_id.type": "user"})),
    "a wrong version": ("head", lambda log: log.aggregates.update_many({}, {"$inc": {"version": 1}})),
    "no count of aggregates": ("population", lambda log: log.populations.delete_many({})),
    "a wrong count of aggregates": ("population", lambda log: log.populations.update_many({}, {"$inc": {"n": 2}})),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_every_kind_of_error_is_found(
    log: Log, appender: Appender, clock: Clock, chance: random.Random, damage: str
) -> None:
    await fill(appender, clock, chance, 6)
    kind, work = DAMAGE[damage]
    await work(log)
    found: set[str] = set()
    for _ in range(100):
        found |= {one.kind for one in await sample.sample(log, chance, PATIENT)}
        if kind in found:
            break
    assert kind in found


async def test_a_wrong_note_of_expired_events_is_found(log: Log, appender: Appender) -> None:
    await appender.store(event("a"))
    await log.expirations.insert_one({"_id": "a", "through": 1})
    assert [one.kind for one in await sample.several(log, 0, 1, PATIENT)] == ["expiration"]


async def test_in_an_empty_log_nothing_is_wrong(log: Log) -> None:
    assert await sample.several(log, 3, 10, PATIENT) == []


async def test_the_holder_of_the_lease_logs_each_error_once(
    log: Log, appender: Appender, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(PATIENT, pause_seconds=0.005, failure_seconds=0.0)
    await appender.store(event("a"), event("a"))
    await log.rollups.update_many({"_id.hour": {"$exists": True}}, {"$inc": {"n": 5}})
    counts: list[int] = []
    others = asyncio.create_task(sample.keep_watch(log, "another", lambda n: pytest.fail("it has no lease"), limits))
    watching = asyncio.create_task(sample.keep_watch(log, "first", counts.append, limits))
    try:
        await until(lambda: sum(counts) >= 6)
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert sum("n is 7, should be 2; run `eventscope recount`" in one for one in said) == 1
        assert len(said) == len(set(said))

        checkpoint_read, failures = checkpoint.read, []

        async def broken(log: Log) -> checkpoint.LogCheckpoint:
            failures.append(1)
            raise ValueError

        monkeypatch.setattr(checkpoint, "read", broken)
        await until(lambda: len(failures) > 2)
        monkeypatch.setattr(checkpoint, "read", checkpoint_read)
        before = len(counts)
        await until(lambda: len(counts) > before)
    finally:
        await end(others, watching)


async def test_it_examines_nothing_that_would_take_long(log: Log, appender: Appender, chance: random.Random) -> None:
    await appender.store(*(event("a", of=("a", "b")) for _ in range(5)))
    await log.rollups.update_many({"_id.hour": {"$exists": True}}, {"$inc": {"n": 5}})
    await log.aggregates.update_many({}, {"$inc": {"version": 1}})
    limits = replace(PATIENT, most_span=1, most_events=1)
    assert {one.kind for one in await sample.sample(log, chance, limits)} == {"day"}
