"""Turns: one read serves all callers that come during another read, and no answer is older than its request."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventscope.store.single_flight import SingleFlight
from tests.support.until import until


class Source:
    """The source of the reads: it counts them, and returns what was true when each began."""

    def __init__(self) -> None:
        self.value = self.began = 0
        self.may = asyncio.Event()

    async def read(self) -> int:
        self.began += 1
        value = self.value
        await self.may.wait()
        if value < 0:
            raise OSError(value)
        return value


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    yield Source()


async def test_calls_during_a_read_share_the_next_read(source: Source) -> None:
    flight = SingleFlight[int]()
    first = flight.join(source.read)
    await until(lambda: source.began == 1)
    source.value = 1
    others = [flight.join(source.read) for _ in range(50)]
    source.may.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [1] * 50
    assert source.began == 2


async def test_an_answer_is_never_older_than_its_query(source: Source) -> None:
    flight = SingleFlight[int]()
    source.may.set()

    async def asks() -> None:
        for _ in range(200):
            source.value += 1
            known = source.value
            assert await flight.join(source.read) >= known

    await asyncio.gather(*(asks() for _ in range(20)))
    assert source.began < 20 * 200


async def test_an_error_reaches_all_callers_that_share_the_read_and_nobody_else(source: Source) -> None:
    flight = SingleFlight[int]()
    source.value = -1
    failing = [flight.join(source.read) for _ in range(2)]
    await until(lambda: source.began == 1)
    source.value = 3
    later = flight.join(source.read)
    source.may.set()
    for one in failing:
        with pytest.raises(OSError, match="-1"):
            await one
    assert await later == 3


async def test_a_caller_that_stops_waiting_stops_nobody_else(source: Source) -> None:
    flight = SingleFlight[int]()
    waiting = [asyncio.ensure_future(flight.join(source.read)) for _ in range(2)]
    await until(lambda: source.began == 1)
    waiting[0].cancel()
    source.may.set()
    assert await waiting[1] == 0


async def test_an_error_that_no_caller_awaits_any_more_is_not_logged(source: Source) -> None:
    # the loop would warn about it, and warnings are errors here
    flight = SingleFlight[int]()
    source.value = -1
    asked = asyncio.ensure_future(flight.join(source.read))
    await until(lambda: source.began == 1)
    asked.cancel()
    source.may.set()
    source.value = 1
    assert await flight.join(source.read) == 1
