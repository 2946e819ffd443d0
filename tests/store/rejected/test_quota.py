"""Rejected messages stay within their limits of space and time, and those dropped for lack of space are counted."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.store.log import Log
from eventscope.store.rejected import messages, quota
from eventscope.store.state import checkpoint
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event, rejected_message

KILO = 1000
ENOUGH = 60.0  # seconds


async def size(log: Log) -> int:
    """The bytes of all rejected messages."""
    rows = await log.mongo.aggregate(log.rejected, [{"$group": {"_id": None, "n": {"$sum": {"$bsonSize": "$$ROOT"}}}}])
    return int(rows[0]["n"]) if rows else 0


async def test_below_the_limit_nothing_is_dropped(log: Log, appender: Appender) -> None:
    await appender.store(*(rejected_message(bytes(KILO)) for _ in range(5)))
    assert await quota.trim(log, 20 * KILO, ENOUGH) is None
    assert await quota.dropped(log) is None
    assert await messages.numbers(log) == [1, 2, 3, 4, 5]


async def test_the_oldest_are_dropped_first_and_counted_and_numbers_continue(log: Log, appender: Appender) -> None:
    await appender.store(*(rejected_message(bytes(KILO), code) for code in "ABBAC"), event())
    trimmed = await quota.trim(log, 3 * KILO, ENOUGH)
    assert trimmed is not None
    assert trimmed.codes == {"B": 2, "A": 1}
    assert trimmed.through == 3
    assert await messages.numbers(log) == [4, 5]
    assert await size(log) <= 3 * KILO
    found = await quota.dropped(log)
    assert found is not None
    assert (found.count, dict(found.codes), found.since) == (3, {"B": 2, "A": 1}, log.clock())
    await appender.store(rejected_message(bytes(3 * KILO), "C"))
    assert (await checkpoint.read(log)).rejected_head == 6
    await quota.trim(log, 5 * KILO, ENOUGH)
    assert await messages.numbers(log) == [6]
    found = await quota.dropped(log)
    assert found is not None
    assert list(found.codes.items()) == [("A", 2), ("B", 2), ("C", 1)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ABC")), min_size=1, max_size=8), min_size=1, max_size=4
    ),
    most=st.integers(1, 40),
    step=st.integers(1, 5),
)
async def test_kept_and_dropped_messages_add_up_to_all_messages(
    log: Log, batches: list[list[tuple[int, str]]], most: int, step: int
) -> None:
    for name in ("rejected", "meta"):
        await log.mongo.collection(name).delete_many({})
    appender = await Appender.of(log)
    codes = [code for batch in batches for _, code in batch]
    for batch in batches:
        await appender.store(*(rejected_message(bytes(kilos * KILO), code) for kilos, code in batch))
        await quota.trim(log, most * KILO, ENOUGH, step)
        assert await size(log) <= most * KILO
    kept = await messages.numbers(log)
    found = await quota.dropped(log)
    n = len(codes) - len(kept)
    assert kept == list(range(n + 1, len(codes) + 1))
    assert ({} if found is None else found.codes) == Counter(codes[:n])


async def test_a_process_that_dies_after_counting_has_counted_once(log: Log, appender: Appender) -> None:
    await appender.store(*(rejected_message(bytes(KILO), code) for code in "ABCABC"))
    assert await quota._count(log, Counter("AB"), 0, 2)  # and then the process was killed
    assert await messages.numbers(log) == [1, 2, 3, 4, 5, 6]
    await quota.trim(log, 4 * KILO, ENOUGH)
    assert await messages.numbers(log) == [5, 6]
    found = await quota.dropped(log)
    assert found is not None
    assert found.codes == {"A": 2, "B": 1, "C": 1}


async def test_several_processes_at_once_count_each_message_once(log: Log, appender: Appender) -> None:
    await appender.store(*(rejected_message(bytes(KILO - 100), "A") for _ in range(60)))
    await asyncio.gather(*(quota.trim(log, 10 * KILO, ENOUGH) for _ in range(4)))
    await quota.trim(log, 10 * KILO, ENOUGH)
    kept = await messages.numbers(log)
    found = await quota.dropped(log)
    assert found is not None
    assert found.count + len(kept) == 60
    assert kept[-1] == 60
    assert 8 * KILO < await size(log) <= 10 * KILO


async def test_with_no_time_left_only_little_is_done(log: Log, appender: Appender) -> None:
    await appender.store(*(rejected_message(bytes(KILO)) for _ in range(10)))
    assert await quota.trim(log, 2 * KILO, 0.0) is not None
    assert len(await messages.numbers(log)) == 10
    await quota.trim(log, 2 * KILO, ENOUGH)
    assert await messages.numbers(log) == [10]


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_an_expired_message_is_in_no_answer_and_not_counted_as_dropped(log: Log, clock: Clock) -> None:
    timed = replace(log, clock=clock)
    appender = replace(await Appender.of(timed), retention=Retention({}, rejected_days=2))
    await appender.store(rejected_message(bytes(KILO), "A"), rejected_message(bytes(KILO), "B"))
    clock.now += DAY
    await appender.store(rejected_message(bytes(KILO), "B"))
    last = await messages.one(timed, 3)
    assert last is not None
    assert last.expires_at is not None
    clock.now = NOON + 2 * DAY - 1
    assert await messages.numbers(timed) == [1, 2, 3]
    clock.now = NOON + 2 * DAY
    assert await messages.numbers(timed) == [3]
    assert await messages.numbers(timed, "A") == []
    assert [one.number for one in await messages.rejections(timed, limit=10)] == [3]
    assert await messages.one(timed, 1) is None
    assert await messages.codes(timed) == {"B": 1}
    assert await messages.count(timed) == 1
    trimmed = await quota.trim(timed, 2 * KILO, ENOUGH)
    assert trimmed is not None
    assert trimmed.codes == {}
    assert await quota.dropped(timed) is None
    assert [row["_id"] for row in await log.rejected.find({}).to_list(None)] == [3]


async def test_a_message_whose_rejection_has_expired_is_treated_as_new(log: Log, clock: Clock) -> None:
    timed = replace(log, clock=clock)
    appender = replace(await Appender.of(timed), retention=Retention({}, rejected_days=1))
    message = rejected_message(b"{")
    assert (await appender.store(message)).rejected == 1
    assert (await appender.store(message)).duplicates == 1
    clock.now += DAY + HOUR
    assert (await appender.store(message)).rejected == 1
    assert await messages.numbers(timed) == [2]


async def test_a_message_that_is_rejected_for_its_age_is_kept_as_long_as_any_other(log: Log, clock: Clock) -> None:
    timed = replace(log, clock=clock)
    appender = replace(await Appender.of(timed), retention=Retention({"*": 1}, rejected_days=30))
    stored = await appender.store(event(recorded=NOON - 100 * DAY))
    assert stored.codes == {"EXPIRED": 1}
    clock.now += 29 * DAY
    assert await messages.numbers(timed) == [1]


async def test_older_messages_without_an_expiry_get_one_and_others_keep_theirs(log: Log, clock: Clock) -> None:
    timed = replace(log, clock=clock)
    appender = await Appender.of(timed)
    await appender.store(rejected_message(b"1"))
    appender.retention = Retention({}, rejected_days=3)
    await appender.store(rejected_message(b"2"))
    assert await messages.stamp(timed, 0) == 0
    assert await messages.stamp(timed, 10) == 1
    assert await messages.stamp(timed, 20) == 0
    clock.now += 3 * DAY
    assert await messages.numbers(timed) == [1]
    clock.now = NOON + 10 * DAY
    assert await messages.numbers(timed) == []


async def test_a_page_of_large_messages_is_limited_and_leaves_none_out(log: Log, appender: Appender) -> None:
    for n in range(12):
        await appender.store(rejected_message(bytes([n]) * 3_000_000))
    page = await messages.page(log, limit=100)
    assert page.full
    assert 1 <= len(page.messages) <= 6
    below, numbers = None, list[int]()
    while found := await messages.rejections(log, limit=100, below=below):
        numbers += [one.number for one in found]
        below = numbers[-1]
    assert numbers == list(range(12, 0, -1))
    assert not (await messages.page(log, limit=100, below=3)).full
