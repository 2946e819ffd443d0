"""Expiry is exact: past its hour an event is in no answer, whatever MongoDB has deleted by then (I7)."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, All, Among, Between, Filter, TypePatterns
from eventscope.store.log import Log
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.expired_events import expired_events
from tests.store.support.expiring_rows import delete_expired, rows
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
