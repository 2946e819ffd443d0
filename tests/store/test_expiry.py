"""Expiry is exact: past its hour an event is in no answer, whatever MongoDB has deleted by then (I7)."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, All, Among, Between, Filter, TypePatterns
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, synchronise
from eventscope.store.mongo.clock import MongoClock
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.stats.expiry import Housekeeping
from eventscope.store.values import moment
from eventscope.store.values.moment import DAY, HOUR, MINUTE
from eventscope.store.write.retention import Retention
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.expired_events import Expired, expired_events
from tests.store.support.random_log import RandomLog, State, moments, types


@dataclass
class Answers:
    """All that the log says about one event of the type `brief`, and about its aggregate."""

    by_id: bool
    in_pages: bool
    count: int
    total: int
    unique: int
    hours: int
    aggregates: int
    first_position: int | None


TYPES = ("brief", "usual", "lasting")


async def delete_expired(log: Log) -> None:
    """What MongoDB's TTL task does, by a clock that these tests do not set."""
    await log.events.delete_many({"expireAt": {"$lte": bson_date(log.clock())}})


async def rows(log: Log) -> dict[str, list[dict[str, Any]]]:
    """Everything that housekeeping may change."""
    names = ("rollups", "populations", "expirations")
    return {name: await log.mongo.collection(name).find({}).sort("_id", 1).to_list(None) for name in names}


async def answers(log: Log) -> Answers:
    brief = TypePatterns(("brief",))
    scope = Scope(types=brief)
    return Answers(
        by_id=await pages.event(log, "brief") is not None,
        in_pages="brief" in [e["messageId"] for e in await pages.events(log, EVERYTHING, limit=10)],
        count=await pages.count(log, brief),
        total=sum(cell.n for cell in await counts.cells(log, scope)),
        unique=await counts.aggregates(log, scope),
        hours=len(await counts.cells(log, Scope(types=brief, low=NOON - 7, high=NOON + 7), hourly=True)),
        aggregates=len(await aggregates.aggregates(log, AggregateCriteria(("brief",)), limit=10)),
        first_position=await pages.first_position(log),
    )


@pytest.mark.parametrize("tidied", [False, True], ids=["before the housekeeping", "after the housekeeping"])
@pytest.mark.parametrize("deleted", [False, True], ids=["before MongoDB deletes it", "after MongoDB deleted it"])
async def test_an_event_is_in_every_answer_until_its_hour_and_in_none_from_then_on(
    log: Log, appender: Appender, clock: Clock, tidied: bool, deleted: bool
) -> None:
    appender.retention = Retention({"*": 0, "brief": 1})
    await appender.store(event("brief", id="brief", of=("brief", "1")), event("lasting", of=("lasting", "1")))

    clock.now = NOON + DAY - 1
    assert await answers(log) == Answers(True, True, 1, 1, 1, 1, 1, 1)

    clock.now = NOON + DAY
    if deleted:
        await delete_expired(log)
    if tidied:
        await expiry.tidy(log)
    assert await answers(log) == Answers(False, False, 0, 0, 0, 0, 0, 2)
    assert await counts.aggregates(log, Scope()) == 1
    assert [cell.type for cell in await counts.cells(log, Scope())] == ["lasting"]


async def test_when_everything_has_expired_nothing_is_left_and_positions_continue(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(*(event() for _ in range(5)))
    clock.now = NOON + DAY
    assert await pages.first_position(log) is None
    assert await pages.count(log, EVERYTHING) == 0
    await delete_expired(log)
    await expiry.tidy(log)
    [next_one] = (await appender.store(event())).events
    assert next_one["_id"] == await pages.first_position(log) == 6


class TestExpiredThrough:
    async def test_nothing_expires_in_a_log_that_keeps_everything(self, log: Log, appender: Appender) -> None:
        await appender.store(event())
        assert await expired_events(log) == []
        assert await expiry.expired_through(log, EVERYTHING) == 0

    @pytest.mark.parametrize("tidied", [False, True], ids=["before the housekeeping", "after the housekeeping"])
    async def test_the_last_expired_position_is_that_of_the_types_that_match_the_filter(
        self, log: Log, appender: Appender, clock: Clock, tidied: bool
    ) -> None:
        appender.retention = Retention({"*": 0, "brief.*": 1})
        await appender.store(event("brief.a"), event("brief.b"), event("lasting"), event("brief.a"), event("lasting"))
        clock.now = NOON + DAY
        if tidied:
            await delete_expired(log)
            await expiry.tidy(log)
        assert sorted((e.type, e.through) for e in await expired_events(log)) == [("brief.a", 4), ("brief.b", 2)]
        for filter, through in EXPECTED:
            assert await expiry.expired_through(log, filter) == through, filter

    async def test_the_last_expired_position_only_rises(self, log: Log, appender: Appender, clock: Clock) -> None:
        appender.retention = Retention({"*": 1})
        for day in range(4):
            clock.now = NOON + day * DAY
            await appender.store(event(), event())
            assert await expiry.expired_through(log, EVERYTHING) == 2 * day
            if day % 2:
                await delete_expired(log)
                await expiry.tidy(log)
            assert await expiry.expired_through(log, EVERYTHING) == 2 * day


EXPECTED: list[tuple[Filter, int]] = [
    (EVERYTHING, 4),
    (TypePatterns(("brief.a",)), 4),
    (TypePatterns(("brief.b",)), 2),
    (TypePatterns(("brief.*",)), 4),
    (TypePatterns(("*.b", "lasting")), 2),
    (TypePatterns(("lasting",)), 0),
    (TypePatterns(()), 0),
    (All((TypePatterns(("brief.*",)), TypePatterns(("*.b",)))), 2),
    (All((TypePatterns(("brief.a",)), TypePatterns(("brief.b",)))), 0),
    (All((TypePatterns(("brief.b",)), Among("userId", ("ann",)), Between("timestamp", 0, 1))), 2),
]


@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_expired_positions_are_known_by_type_at_any_moment(corpus: RandomLog, data: st.DataObject) -> None:
    filter = data.draw(types(), "filter")
    state: State = data.draw(st.sampled_from(["whole", "tidied"]), "state")
    log = corpus.at(data.draw(moments(corpus), "now"), state)

    through = corpus.ask(expiry.expired_through(log, filter))

    left = {e["_id"] for e in model.unexpired(corpus.events, corpus.clock.now)}
    gone = [e["_id"] for e in corpus.events if e["_id"] not in left and model.means(filter, e)]
    assert through == max(gone, default=0)


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


async def test_a_clock_that_was_wrong_for_a_while_changes_no_answer(log: Log, appender: Appender, clock: Clock) -> None:
    appender.retention = Retention({"*": 30, "brief": 1})
    await appender.store(*(event(type, of=(type, "1")) for type in ("brief", "usual") for _ in range(5)))
    before, counted = await rows(log), await answers(log)

    clock.now = NOON + 40 * DAY
    await expiry.tidy(log)
    clock.now = NOON
    assert await rows(log) == before
    assert await answers(log) == counted
    assert await expired_events(log) == []


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
