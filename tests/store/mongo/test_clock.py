"""MongoDB's clock as a process knows it: right, whatever the machine's clock says, and steady between two readings."""

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope.errors import Unavailable
from eventscope.store.log import Log, open_log, prepare, synchronise
from eventscope.store.mongo import clock
from eventscope.store.mongo.clock import MongoClock, steady
from eventscope.store.mongo.driver import Driver
from eventscope.store.values import moment
from eventscope.store.values.moment import DAY
from tests.support.until import until

YEAR_2100 = moment.from_text("2100-01-01T00:00:00Z")


async def told(log: Log) -> int:
    hello = await log.mongo.database.command("hello")
    return moment.of(hello["localTime"].replace(tzinfo=UTC))


@pytest.mark.parametrize("days", [-40, 0, 40])
async def test_the_time_is_mongodbs_whatever_the_clock_of_the_machine_says(
    mongo_url: str, emptied_database: str, driver: Driver, days: int
) -> None:
    time = MongoClock(wall=lambda: moment.now() + days * DAY)
    async with open_log(mongo_url, emptied_database, driver, clock=time) as log:
        with pytest.raises(Unavailable, match="the time is not known yet"):
            log.clock()
        began = steady()
        await synchronise(log)
        difference = log.clock() - await told(log)
        doubt = steady() - began + 2 * clock.PRECISION  # each of the two readings is that exact
        assert abs(difference) <= doubt
        assert abs(log.clock_ahead * 1_000_000 + days * DAY) <= doubt


async def test_a_prepared_log_knows_the_time(mongo_url: str, emptied_database: str, driver: Driver) -> None:
    async with open_log(mongo_url, emptied_database, driver) as log:
        await prepare(log)
        assert log.clock() <= log.clock()


async def test_the_time_is_read_repeatedly(mongo_url: str, emptied_database: str, driver: Driver) -> None:
    async with open_log(mongo_url, emptied_database, driver, clock=MongoClock(refresh_seconds=0.01)) as log:
        await synchronise(log)
        assert isinstance(log.clock, MongoClock)
        log.clock.learn(steady(), YEAR_2100, steady())
        assert log.clock() >= YEAR_2100
        await until(lambda: log.clock() < YEAR_2100)


LOOKS = st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.integers(0, 999)), min_size=1)


@given(looks=LOOKS, there=st.integers(-(10**15), 10**15))
def test_however_slow_the_answers_the_error_is_within_what_the_last_one_allows(
    looks: list[tuple[int, int, int]], there: int
) -> None:
    time, now = MongoClock(), steady()
    for outward, back, cut in looks:
        time.learn(now, now + outward + there - cut, now + outward + back)
        assert time._offset is not None
        assert abs(time._offset - there) <= outward + back + clock.PRECISION


@given(looks=LOOKS, there=st.integers(-(10**15), 10**15))
def test_a_slower_answer_does_not_move_the_clock(looks: list[tuple[int, int, int]], there: int) -> None:
    time, now = MongoClock(), steady()
    time.learn(now, now + there, now)
    known = time._offset
    for outward, back, cut in looks:
        time.learn(now, now + outward + there - cut, now + outward + back + clock.PRECISION)
    assert time._offset is not None
    assert known is not None
    assert abs(time._offset - known) <= clock.PRECISION
