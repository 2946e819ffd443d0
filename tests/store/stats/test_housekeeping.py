"""Housekeeping removes what counted expired events, once MongoDB has deleted them and at no other time."""

from dataclasses import replace
from typing import Any

import pytest

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, synchronise
from eventscope.store.mongo.clock import MongoClock
from eventscope.store.stats import expiry
from eventscope.store.stats.expiry import Housekeeping
from eventscope.store.values import moment
from eventscope.store.values.moment import DAY, HOUR, MINUTE
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.expired_events import Expired, expired_events
from tests.store.support.expiring_rows import delete_expired, rows

TYPES = ("brief", "usual", "lasting")


async def test_housekeeping_leaves_kept_events_alone_and_can_run_at_any_time(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 2, "brief": 1})
    await appender.store(*(event(type, of=(type, "1")) for type in ("brief", "usual")))

    before = await rows(log)
    await expiry.tidy(log)
    assert await rows(log) == before

    clock.now = NOON + DAY + HOUR
    await delete_expired(log)
    for _ in range(2):
        await expiry.tidy(log)
        left = await rows(log)
        assert [row["_id"]["type"] for row in left["rollups"] if "hour" in row["_id"]] == ["usual"]
        assert [row["_id"]["aggregateType"] for row in left["populations"]] == ["usual"]
        assert left["expirations"] == [{"_id": "brief", "through": 1}]
    assert await expired_events(log) == [Expired("brief", 1)]


async def test_what_mongodb_has_not_deleted_yet_stays_counted(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 2, "brief": 1})
    await appender.store(*(event(type, of=(type, "1")) for type in ("brief", "usual", "brief")))
    before = await rows(log)

    clock.now = NOON + 40 * DAY
    await expiry.tidy(log)
    assert await rows(log) == before

    await log.events.delete_many({"_id": 1})
    await expiry.tidy(log)
    assert await rows(log) == before

    await log.events.delete_many({"_id": 3})
    await expiry.tidy(log)
    assert (await rows(log))["expirations"] == [{"_id": "brief", "through": 3}]
    assert {row["_id"]["type"] for row in (await rows(log))["rollups"] if "hour" in row["_id"]} == {"usual"}


async def test_a_row_to_which_an_event_is_added_meanwhile_is_not_removed(
    log: Log, appender: Appender, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event(of=("thing", "1")))
    late, delete = await Appender.of(log), expiry._delete
    late.retention = appender.retention
    message = event(of=("thing", "2"), recorded=NOON)

    async def interrupted(*arguments: Any) -> None:
        if log.clock() > NOON:  # a writer that was slow to commit what it had decided before the hour
            clock.now = NOON
            await late.store(message)
            clock.now = NOON + DAY
        await delete(*arguments)

    monkeypatch.setattr(expiry, "_delete", interrupted)
    clock.now = NOON + DAY
    await delete_expired(log)
    await expiry.tidy(log)
    assert await expired_events(log) == [Expired("thing.happened", 2)]


class TestHousekeeping:
    async def test_housekeeping_is_done_once_an_hour(self, log: Log, appender: Appender, clock: Clock) -> None:
        appender.retention = Retention({"*": 1})
        await appender.store(event())
        housekeeping = Housekeeping(log)
        for now, left in ((NOON + DAY, 0), (NOON + DAY + HOUR - 1, 0), (NOON + DAY + HOUR, 1)):
            clock.now = now
            assert await housekeeping.look()
            assert len((await rows(log))["expirations"]) == left
            await delete_expired(log)

    @pytest.mark.parametrize("days", [-40, 40])
    async def test_housekeeping_is_put_off_with_one_log_line_while_the_clocks_are_apart(
        self, log: Log, caplog: pytest.LogCaptureFixture, days: int
    ) -> None:
        skew = days * DAY
        log = replace(log, clock=MongoClock(wall=lambda: moment.now() + skew))
        await synchronise(log)
        # as in a log that is forty days old and whose events MongoDB has all deleted
        await log.rollups.insert_one(
            {
                "_id": {"hour": NOON, "type": "a", "aggregateType": None, "expireAt": bson_date(0)},
                "n": 1,
                "firstPosition": 7,
                "lastPosition": 7,
                "earliest": NOON,
                "latest": NOON,
            }
        )
        housekeeping, before = Housekeeping(log), await rows(log)
        assert [await housekeeping.look() for _ in range(3)] == [False, False, False]
        assert await rows(log) == before
        [line] = [record for record in caplog.records if record.levelname == "ERROR"]
        assert f"3456000 s {'behind' if days > 0 else 'ahead of'} this machine's" in line.getMessage()

        skew = 0
        assert await housekeeping.look()
        assert await expired_events(log) == [Expired("a", 7)]


async def test_rows_of_fully_expired_days_and_of_fully_deleted_minutes_are_removed(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 2, "brief": 1, "lasting": 0})
    await appender.store(*(event(type, of=(type, "1"), at=NOON + n * MINUTE) for n, type in enumerate(TYPES)))

    async def named(part: str) -> list[Any]:
        found = await log.rollups.find({f"_id.{part}": {"$exists": True}}).sort(f"_id.{part}", 1).to_list(None)
        return [row["_id"].get("type", row["_id"].get("minute")) for row in found]

    for now, left in ((NOON + DAY + HOUR, 3), (NOON + 2 * DAY, 2), (NOON + 3 * DAY, 1)):
        clock.now = now
        await log.events.delete_many({"expireAt": {"$lte": bson_date(now - DAY // 2)}})
        await expiry.tidy(log)
        assert await named("expiryDay") == list(TYPES[-left:])
        assert await named("minute") == [NOON + n * MINUTE for n in range(3 - left, 3)]
    await log.events.delete_many({})
    await expiry.tidy(log)
    assert await named("minute") == []


async def test_many_rows_are_processed_a_few_at_a_time(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(*(event(f"type{n}", of=(f"of{n}", "1")) for n in range(7)))
    clock.now = NOON + 3 * DAY
    await delete_expired(log)
    await expiry.tidy(log, piece=2)
    left = await rows(log)
    assert (left["rollups"], left["populations"], len(left["expirations"])) == ([], [], 7)


async def test_foreign_documents_do_not_prevent_housekeeping(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event("a", of=("user", "1")), event("b", of=("user", "2")))
    await log.rollups.update_one({"_id.type": "a", "_id.hour": {"$exists": True}}, {"$set": {"lastPosition": "x"}})
    foreign = {"_id": {"expireAt": bson_date(0)}, "lastPosition": {"a": []}}
    await log.rollups.insert_one(foreign)
    await log.populations.insert_one(foreign)
    clock.now = NOON + 3 * DAY
    await delete_expired(log)
    await expiry.tidy(log)
    left = await rows(log)
    assert [one["_id"] for one in left["expirations"]] == ["b"]
    assert [row["_id"].get("type") for row in left["rollups"]] == ["a", None]
    assert left["populations"] == [foreign]
