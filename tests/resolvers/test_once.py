"""An answer that many callers wait for is computed once, and a caller that leaves does not disturb the others."""

import asyncio

import pytest

from eventscope.resolvers.shared import SharedAnswers
from tests.support.until import until


class Finding:
    """Computes an answer when the test says so."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go = asyncio.Event()

    async def find(self) -> int:
        self.begun += 1
        try:
            await self.go.wait()
        finally:
            self.ended += 1
        return self.begun


async def test_all_callers_get_what_was_computed_once() -> None:
    once, finding = SharedAnswers(), Finding()
    asking = [asyncio.create_task(once.of("key", finding.find)) for _ in range(5)]
    finding.go.set()
    assert await asyncio.gather(*asking) == [1] * 5
    assert await once.of("key", finding.find) == 1
    assert await once.of("other", finding.find) == 2


async def test_a_caller_that_leaves_disturbs_nobody() -> None:
    once, finding = SharedAnswers(), Finding()
    first, second = (asyncio.create_task(once.of("key", finding.find)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert finding.ended == 0
    finding.go.set()
    assert await second == 1


async def test_when_all_callers_have_left_the_computation_is_cancelled_and_repeated_for_the_next() -> None:
    once, finding = SharedAnswers(), Finding()
    asking = [asyncio.create_task(once.of("key", finding.find)) for _ in range(3)]
    await until(lambda: finding.begun)
    for one in asking:
        one.cancel()
    await asyncio.wait(asking)
    await until(lambda: finding.ended)
    finding.go.set()
    assert await once.of("key", finding.find) == 2


async def test_a_failure_reaches_all_callers() -> None:
    async def fail() -> int:
        raise LookupError("it is gone")

    once = SharedAnswers()
    for _ in range(3):
        with pytest.raises(LookupError, match="it is gone"):
            await once.of("key", fail)


async def test_no_failure_is_remembered() -> None:
    attempts = 0

    async def find() -> int:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise LookupError
        return attempts

    once = SharedAnswers()
    asked = await asyncio.gather(*(once.of("key", find) for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in asked] == [LookupError] * 4
    with pytest.raises(LookupError):
        await once.of("key", find)
    assert [await once.of("key", find) for _ in range(3)] == [3] * 3


async def test_a_cancelled_computation_is_repeated() -> None:
    async def give_up() -> int:
        raise asyncio.CancelledError

    async def find() -> int:
        return 1

    once = SharedAnswers()
    with pytest.raises(asyncio.CancelledError):
        await once.of("key", give_up)
    assert await once.of("key", find) == 1
