"""Counts by day of expiry: few rows, each kept event in one of them, added where an older version wrote none."""

import random
from collections import Counter
from typing import Any

import pytest

from eventscope.store.catalogue import types as catalogue_types
from eventscope.store.events import pages
from eventscope.store.events.time_span import span
from eventscope.store.filters.filter import EVERYTHING, Between
from eventscope.store.log import Log
from eventscope.store.stats import counts, daily
from eventscope.store.stats.counts import Scope
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import DAY, HOUR, MINUTE
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.chaos import recount
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event

TYPES = ("brief.one", "usual.one", "usual.two", "lasting.one")
RETENTION = Retention({"*": 30, "brief.*": 2, "lasting.*": 0})


@pytest.fixture
async def ever(appender: Appender, clock: Clock) -> list[EventDocument]:
    """Forty days of events, at all hours; the clock stands at the end of them."""
    appender.retention, chance, stored = RETENTION, random.Random(40), list[EventDocument]()
    for hour in range(0, 40 * 24, 7):
        clock.now = NOON + hour * HOUR + chance.randrange(HOUR)
        late = [clock.now - chance.randrange(3 * HOUR) for _ in TYPES]
        batch = (event(type, of=("thing", type), at=at) for type, at in zip(TYPES, late, strict=True))
        stored += (await appender.store(*batch)).events
    return stored


async def told(log: Log) -> tuple[dict[str, int], dict[str, int], list[tuple[int, int]]]:
    """The counts of each type from two sources, and the times between which its events lie."""
    cells = await counts.cells(log, Scope())
    types = await catalogue_types.types(log, "", 100)
    ends = [(type.first_seen_at, type.last_seen_at) for type in types]
    assert ends == [(cell.earliest, cell.latest) for cell in sorted(cells, key=lambda cell: cell.type)]
    return {cell.type: cell.n for cell in cells}, {type.type: type.count for type in types}, ends


def counted(ever: list[EventDocument], now: int) -> dict[str, int]:
    return dict(Counter(event["type"] for event in model.unexpired(ever, now)))


async def as_an_older_version_left_it(log: Log, through: int | None = None) -> None:
    """Leave only counts by hour: for all events, or for those up to that position."""
    minutes = {} if through is None else {"firstPosition": {"$lte": through}}
    await log.rollups.delete_many({"_id.expiryDay": {"$exists": True}})
    await log.rollups.delete_many({"_id.minute": {"$exists": True}, **minutes})


async def test_each_kept_event_is_counted_once_at_any_time_of_the_day(
    log: Log, clock: Clock, ever: list[EventDocument]
) -> None:
    for hours in (0, 1, 11, 12, 13, 23, 24, 30, 36, 37, 100):
        for instant in (-1, 0, 1):
            clock.now = NOON + 40 * DAY + hours * HOUR + instant
            found, types, _ = await told(log)
            assert found == types == counted(ever, clock.now)


async def test_rows_by_day_are_few_however_long_the_log_is(log: Log, clock: Clock, ever: list[EventDocument]) -> None:
    hours = await log.rollups.count_documents({"_id.hour": {"$exists": True}})
    days = await log.rollups.count_documents({"$or": daily.rows(clock.now)})
    brief, usual, lasting = 2 + 24 // 7 + 1, 2 * (30 + 24 // 7 + 1), 1
    assert days <= brief + usual + lasting < hours / 5


async def test_a_log_of_an_older_version_is_counted_by_its_hours(
    log: Log, clock: Clock, ever: list[EventDocument]
) -> None:
    await as_an_older_version_left_it(log)
    found, types, _ = await told(log)
    assert found == types == counted(ever, clock.now)


async def test_the_next_writer_adds_what_an_older_version_did_not_count(
    log: Log, clock: Clock, ever: list[EventDocument]
) -> None:
    await as_an_older_version_left_it(log)
    async with writing(log, RETENTION, "first", 60):
        pass
    minutes = {"_id.minute": {"$exists": False}}
    rows = await log.rollups.find(minutes).to_list(None)
    events: list[Any] = list(ever)
    differences = list(recount.differences(events, await log.aggregates.find({}).to_list(None), rows, []))
    assert {name for name, key, *_ in differences if name == "rollup" and key[0] != "minute"} == set()
    again = await Appender.of(log)
    ever += (await again.store(*(event(type, of=("thing", type)) for type in TYPES))).events
    found, types, _ = await told(log)
    assert found == types == counted(ever, clock.now)


async def test_the_next_writer_corrects_what_an_older_version_counted_meanwhile(
    log: Log, clock: Clock, ever: list[EventDocument]
) -> None:
    await log.rollups.update_one({"_id.hour": {"$exists": True}, "_id.type": "lasting.one"}, {"$inc": {"n": 5}})
    async with writing(log, RETENTION, "first", 60):
        pass
    found, types, _ = await told(log)
    assert found == types == counted(ever, clock.now) | {"lasting.one": counted(ever, clock.now)["lasting.one"] + 5}


async def test_a_writer_that_finds_everything_correct_writes_nothing(log: Log, ever: list[EventDocument]) -> None:
    before = await log.rollups.find({}).to_list(None)
    async with writing(log, RETENTION, "first", 60):
        assert await log.rollups.find({}).to_list(None) == before


@pytest.mark.parametrize("older", [None, 0, 200, 300, 10_000])
async def test_a_time_range_lies_within_its_span_whether_or_not_minutes_are_known(
    log: Log, clock: Clock, ever: list[EventDocument], older: int | None
) -> None:
    if older is not None:
        await as_an_older_version_left_it(log, older)
    chance, cut, whole = random.Random(7), 0, 0
    for _ in range(150):
        low = NOON + chance.randrange(40 * DAY)
        high = low + chance.choice([0, MINUTE, HOUR - 1, 5 * HOUR, DAY, 20 * DAY])
        for ends in ((low, high), (low, None), (None, high)):
            inside = [e["_id"] for e in ever if ends[0] is None or e["timestamp"] >= ends[0]]
            inside = [n for n in inside if ends[1] is None or ever[n - 1]["timestamp"] <= ends[1]]
            found = await span(log, *ends)
            if inside:
                assert found is not None
                assert found[0] <= min(inside)
                assert found[1] >= max(inside)
            cut += 0 if found is None else found[1] - found[0]
            whole += max(inside) - min(inside) if inside else 0
        page = await pages.events(log, Between("timestamp", low, high), limit=1000)
        assert page == [e for e in model.unexpired(ever, clock.now) if low <= e["timestamp"] <= high]
    assert len(await pages.events(log, EVERYTHING, limit=10_000)) == len(model.unexpired(ever, clock.now))
    assert cut >= whole
