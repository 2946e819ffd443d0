"""Replays: the log as it was at the start, with the original pauses between events, multiplied by a factor."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from eventscope.errors import WrongLog
from eventscope.store.filters.filter import EVERYTHING, Among, Exists, Filter, TypePatterns
from eventscope.store.filters.paths import Path
from eventscope.store.log import Log
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from eventscope.subscriptions.live.history import Advance, ExpiredRange, Item
from eventscope.subscriptions.live.paging import FIRST, MOST
from eventscope.subscriptions.live.replay import Rhythm, replay
from tests.subscriptions.support.filling import store, user

NOON = moment.from_text("2026-03-02T12:00:00Z")
SECOND = 1_000_000


@dataclass
class Time:
    """Time that passes only while somebody sleeps. `happens` is called after each sleep."""

    now: float = 100.0
    happens: Callable[[], None] = lambda: None
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(round(seconds, 6))
        self.happens()

    def rhythm(self, speed: float, longest: float = 5.0) -> Rhythm:
        return Rhythm(speed, longest, self.clock, self.sleep)


async def whole(
    log: Log,
    filter: Filter = EVERYTHING,
    after: int = 0,
    head: int = 10**6,
    rhythm: Rhythm | None = None,
    most_at_once: int = MOST,
) -> list[Item]:
    async with asyncio.timeout(60), aclosing(replay(log, filter, after, head, rhythm, most_at_once)) as items:
        return [item async for item in items]


def positions(items: Sequence[Item]) -> list[int]:
    return [item["_id"] for item in items if isinstance(item, dict)]


def at(*seconds: float) -> list[dict[str, Any]]:
    """Events that happened this many seconds after noon."""
    return [{"timestamp": NOON + int(second * SECOND)} for second in seconds]


async def test_without_a_rhythm_a_replay_is_as_fast_as_it_is_read(log: Log) -> None:
    await store(log, *at(*range(0, 30_000, 1000)))
    assert positions(await whole(log, head=30, most_at_once=7)) == list(range(1, 31))


async def test_events_come_with_their_original_pauses_multiplied_by_the_factor(log: Log) -> None:
    await store(log, *at(0, 1, 1.5, 1.5, 4))
    for speed, slept in ((1.0, [1.0, 0.5, 2.5]), (2.0, [0.5, 0.25, 1.25]), (0.5, [2.0, 1.0, 5.0])):
        time = Time()
        assert positions(await whole(log, head=5, rhythm=time.rhythm(speed))) == [1, 2, 3, 4, 5]
        assert time.slept == slept


async def test_a_long_pause_is_shortened(log: Log) -> None:
    await store(log, *at(0, 86_400, 86_401))
    time = Time()
    await whole(log, head=3, rhythm=time.rhythm(1.0, longest=3.0))
    assert time.slept == [3.0, 1.0]


async def test_timestamps_out_of_order_cause_no_negative_wait(log: Log) -> None:
    await store(log, *at(10, 4, 9, 12))
    time = Time()
    assert positions(await whole(log, head=4, rhythm=time.rhythm(1.0))) == [1, 2, 3, 4]
    assert time.slept == [2.0]


async def test_the_time_that_delivery_takes_is_not_added_to_the_pauses(log: Log) -> None:
    await store(log, *at(0, 1, 2, 3))
    time = Time()
    async with aclosing(replay(log, EVERYTHING, 0, 4, time.rhythm(1.0))) as items:
        async for _ in items:
            time.now += 0.25
    assert time.slept == [0.75, 0.75, 0.75]


async def test_a_reader_much_slower_than_the_replay_does_not_get_the_rest_in_a_rush(log: Log) -> None:
    await store(log, *at(*range(6)))
    time = Time()
    async with aclosing(replay(log, EVERYTHING, 0, 6, time.rhythm(1.0))) as items:
        await anext(items)
        time.now += 60
        assert len([item async for item in items]) == 5
    assert time.slept == [1.0, 1.0, 1.0, 1.0]


async def test_it_resumes_after_a_cursor_and_ends_at_the_given_head(log: Log) -> None:
    await store(log, *at(*range(20)))
    time = Time()
    assert positions(await whole(log, after=5, head=9, rhythm=time.rhythm(1.0))) == [6, 7, 8, 9]
    assert time.slept == [1.0] * 3
    assert await whole(log, after=9, head=9) == []


async def test_a_filter_is_applied_and_the_end_is_reported_if_it_does_not_match(log: Log) -> None:
    await store(log, *(user(str(n % 4)) for n in range(10)))
    assert positions(await whole(log, Among("aggregateId", ("1",)), head=10)) == [2, 6, 10]
    *events, end = await whole(log, Among("aggregateId", ("3",)), head=10)
    assert (positions(events), end) == ([4, 8], Advance(10))
    assert await whole(log, TypePatterns(("no.such",)), head=10) == [Advance(10)]


async def test_a_search_through_a_long_log_reports_its_progress(log: Log) -> None:
    await store(log, *at(*range(20)))
    impatient = replace(log, search=SearchLimits(window=7, patience=0.0))
    assert await whole(impatient, Exists(Path("data", ("no",))), head=20) == [Advance(7), Advance(14), Advance(20)]


async def test_what_expired_before_a_replay_is_reported_and_not_delivered(log: Log) -> None:
    long_ago = moment.now() - 40 * moment.DAY
    await store(replace(log, clock=lambda: long_ago), {}, {}, {}, recorded_at=long_ago, days=1)
    await store(log, {}, {})
    assert (await whole(log, head=5))[0] == ExpiredRange(0, 3)
    assert positions(await whole(log, head=5)) == [4, 5]
    assert await whole(log, head=2) == [ExpiredRange(0, 2), Advance(2)]


async def test_what_expires_during_a_pause_is_reported_and_not_delivered(log: Log) -> None:
    now = [moment.now() // moment.HOUR * moment.HOUR]
    moved = replace(log, clock=lambda: now[0])
    await store(moved, *at(0, 1, 2), recorded_at=now[0], days=1)
    await store(moved, *at(3), recorded_at=now[0])

    def a_day_goes_by() -> None:
        now[0] += 2 * moment.DAY
        time.happens = lambda: None

    time = Time(happens=a_day_goes_by)
    first, *rest = await whole(moved, head=4, rhythm=time.rhythm(1.0))
    assert positions([first]) == [1]
    assert rest[0] == ExpiredRange(1, 3)
    assert positions(rest) == [4]
    assert time.slept == [1.0, 2.0]


async def test_a_replay_ends_when_the_log_is_recreated_meanwhile(log: Log) -> None:
    await store(log, *at(*range(8)))
    heard: list[Item] = []
    async with asyncio.timeout(60), aclosing(replay(log, EVERYTHING, 0, 8)) as items:
        heard.append(await anext(items))
        await log.mongo.client.drop_database(log.mongo.database.name)
        await store(log, *at(*range(9)))
        with pytest.raises(WrongLog, match="replaced by another during the replay"):
            async for item in items:
                heard.append(item)
    assert positions(heard) == [*range(1, FIRST + 1)]  # the page that was read before


async def test_it_sleeps_by_the_clock_of_the_loop_by_default(log: Log) -> None:
    await store(log, *at(0, 1))
    assert positions(await whole(log, head=2, rhythm=Rhythm(1000.0, 5.0))) == [1, 2]
