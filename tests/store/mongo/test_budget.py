"""How much one operation reads at a time."""

import asyncio

import pytest

from eventscope.store.mongo.budget import LARGE, ReadBudget


@pytest.mark.parametrize("at_once", [1, 2, 4])
async def test_no_more_reads_of_an_operation_run_at_once_than_allowed(at_once: int) -> None:
    budget, under_way, most = ReadBudget(at_once=at_once), 0, 0

    async def read() -> None:
        nonlocal under_way, most
        await budget.begin()
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        budget.end()

    for _ in range(2):
        await asyncio.gather(*(read() for _ in range(10)))
        await read()
    assert most == at_once


async def test_a_read_that_is_cancelled_while_it_waits_takes_no_turn_from_others() -> None:
    budget = ReadBudget(at_once=1)
    await budget.begin()
    given_up, next_one = asyncio.ensure_future(budget.begin()), asyncio.ensure_future(budget.begin())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.wait([given_up])
    assert not next_one.done()
    budget.end()
    await next_one
    budget.end()
    await budget.begin()


def test_an_operation_must_take_a_place_once_it_is_large() -> None:
    budget = ReadBudget()
    assert [budget.spend(size) for size in (1, LARGE - 1, 1)] == [False, False, True]
