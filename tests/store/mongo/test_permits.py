"""Operations that read much wait for their turn, in order; those that read little never wait."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from eventscope.errors import Unavailable
from eventscope.store.events.links import by_link
from eventscope.store.log import Log
from eventscope.store.mongo.budget import LARGE, MOST_IN_WAIT, ReadBudget
from eventscope.store.mongo.first import first_large
from eventscope.store.mongo.permits import Permits
from tests.store.support.appender import Appender, event
from tests.support.until import until


def large(permits: Permits) -> ReadBudget:
    budget = ReadBudget(permits=permits)
    budget.spend(LARGE + 1)
    return budget


async def test_large_operations_get_their_permits_in_order_of_arrival() -> None:
    permits, order = Permits(1), list[int]()
    operations = [large(permits) for _ in range(4)]

    async def run(number: int) -> None:
        await operations[number].enter()
        order.append(number)
        await asyncio.sleep(0)
        operations[number].leave()

    await asyncio.gather(*(run(number) for number in range(4)))
    assert order == [0, 1, 2, 3]
    assert not permits.are_taken


async def test_a_small_operation_needs_no_permit_and_one_that_has_one_needs_no_other() -> None:
    permits = Permits(1, seconds=0)
    first = large(permits)
    await first.enter()
    first.spend(100 * LARGE)
    await first.enter()
    small = ReadBudget(permits=permits)
    small.spend(LARGE)
    await small.enter()
    first.leave()
    assert not permits.are_taken


async def test_an_operation_that_waits_too_long_fails_with_all_of_its_reads_at_once() -> None:
    permits = Permits(1, seconds=0.05)
    holder, waiting = large(permits), large(permits)
    await holder.enter()
    refusals = await asyncio.gather(*(waiting.enter() for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in refusals} == {Unavailable}
    holder.leave()
    with pytest.raises(Unavailable, match="this one waited"):
        await waiting.enter()
    assert not permits.are_taken


async def test_a_read_of_an_operation_that_has_ended_gets_no_permit() -> None:
    permits = Permits(1)
    holder, waiting, late = large(permits), large(permits), large(permits)
    await holder.enter()
    entering = asyncio.create_task(waiting.enter())
    await asyncio.sleep(0)
    waiting.leave()
    late.leave()
    holder.leave()
    for read in (entering, late.enter()):
        with pytest.raises(Unavailable, match="the operation is over"):
            await read
    assert not permits.are_taken


async def test_an_operation_that_stops_waiting_keeps_no_permit() -> None:
    permits = Permits(1)
    holder, waiting = large(permits), large(permits)
    await holder.enter()
    entering = asyncio.create_task(waiting.enter())
    await asyncio.sleep(0)
    holder.leave()
    entering.cancel()
    await asyncio.gather(entering, return_exceptions=True)
    waiting.leave()
    assert not permits.are_taken


@pytest.mark.parametrize("most_in_wait", [MOST_IN_WAIT, 0])
async def test_a_read_that_has_to_wait_returns_and_counts_the_same_afterwards(
    log: Log, appender: Appender, most_in_wait: int
) -> None:
    """A result that exceeds what may be held while waiting is released and read again."""
    await appender.store(*(event("a", data={"n": "x" * 1000}, correlationId="c") for _ in range(30)))
    permits, free = Permits(1), ReadBudget()
    expected = await first_large(log.events, {}, limit=100, budget=free)
    followed = await by_link(log.within(ReadBudget()), "correlationId", ["c"], limit=20)
    holder = ReadBudget(permits=permits)
    holder.spend(LARGE + 1)
    await holder.enter()
    budget, other = (ReadBudget(permits=permits, large=4_000, most_in_wait=most_in_wait) for _ in range(2))
    reads = asyncio.gather(
        _left(budget, first_large(log.events, {}, limit=100, budget=budget)),
        _left(other, by_link(log.within(other), "correlationId", ["c"], limit=20)),
    )
    small, _ = await first_large(log.events, {}, limit=1, budget=ReadBudget(permits=permits, large=4_000))
    assert small == expected[0][:1]
    await until(lambda: len(permits._free._waiters or ()) == 2)
    holder.leave()
    assert list(await reads) == [expected, followed]
    assert budget.total == free.total
    assert not permits.are_taken


async def _left(budget: ReadBudget, read: Awaitable[Any]) -> Any:
    """What the operation read; it has ended on return."""
    try:
        return await read
    finally:
        budget.leave()
