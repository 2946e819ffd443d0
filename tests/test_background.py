"""Background work has ended when its block ends, even if a cancellation gets lost."""

import asyncio

import pytest

from eventscope.background import beside, cancel, end


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventscope.background.CANCEL_SECONDS", 0.01)


class Deaf:
    """Work that loses its first cancellations."""

    def __init__(self, loses: int) -> None:
        self.heard, self.loses = 0, loses

    async def work(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self.loses:
                    raise


async def failing() -> None:
    raise ValueError("as it went on")


async def test_a_cancellation_that_gets_lost_is_repeated() -> None:
    deaf = Deaf(loses=2)
    async with beside(deaf.work()) as task:
        await asyncio.sleep(0)
    assert task.cancelled()
    assert deaf.heard == 3


async def test_a_task_that_ends_late_does_not_keep_the_others_running() -> None:
    works = [Deaf(loses=n) for n in (0, 3)]
    tasks = [asyncio.create_task(one.work()) for one in works]
    await asyncio.sleep(0)
    await cancel(*tasks)
    assert [one.heard for one in works] == [1, 4]


async def test_the_error_of_failed_work_is_raised_at_the_end() -> None:
    with pytest.raises(ValueError, match="as it went on"):
        async with beside(failing()) as task:
            await asyncio.wait([task])
    failed, going = asyncio.create_task(failing()), asyncio.create_task(Deaf(0).work())
    await asyncio.wait([failed])
    with pytest.raises(ValueError, match="as it went on"):
        await end(failed, going)
    assert going.cancelled()


async def test_if_only_the_end_matters_a_failure_needs_no_attention(caplog: pytest.LogCaptureFixture) -> None:
    task = asyncio.create_task(failing())
    await asyncio.wait([task])
    await cancel(task)
    del task
    assert caplog.records == []


async def test_without_any_task_there_is_nothing_to_wait_for() -> None:
    await cancel()
    await end()
