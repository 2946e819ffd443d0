"""Blocking calls run in threads, concurrently, and each returns its outcome, even if its callers are cancelled."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from eventscope.store.mongo.threads import Threads
from tests.support.until import until


async def test_what_a_call_returns_or_raises_reaches_its_caller() -> None:
    threads = Threads()

    def fail() -> None:
        raise LookupError("gone")

    assert await threads.run(lambda: threading.current_thread() is threading.main_thread()) is False
    with pytest.raises(LookupError, match="gone"):
        await threads.run(fail)
    assert await threads.run(lambda: 2) == 2


async def test_a_call_runs_in_the_context_of_its_caller() -> None:
    deadline = ContextVar("deadline", default=0)
    deadline.set(7)

    assert await Threads().run(deadline.get) == 7


async def test_calls_run_at_the_same_time_up_to_the_limit_and_the_others_after_them() -> None:
    threads = Threads(most=2)
    both, third = threading.Barrier(3, timeout=30), threading.Event()

    calls = [asyncio.ensure_future(threads.run(both.wait)) for _ in range(2)]
    last = asyncio.ensure_future(threads.run(third.set))
    await asyncio.sleep(0)
    assert not third.is_set()
    await asyncio.to_thread(both.wait)

    await asyncio.gather(*calls, last)
    assert third.is_set()


async def test_one_thread_serves_all_calls_that_follow_each_other() -> None:
    threads = Threads()

    assert len({await threads.run(threading.get_ident) for _ in range(20)}) == 1


async def test_a_call_that_nobody_waits_for_any_more_delays_no_other() -> None:
    threads = Threads()
    goes_on = threading.Event()
    left = asyncio.ensure_future(threads.run(lambda: goes_on.wait(30)))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left

    assert await threads.run(lambda: 1) == 1
    goes_on.set()
    assert await threads.run(lambda: 2) == 2


async def test_a_call_that_was_cancelled_before_it_started_is_dropped() -> None:
    threads = Threads(most=1)
    goes_on, dropped = threading.Event(), threading.Event()
    running = asyncio.ensure_future(threads.run(lambda: goes_on.wait(30)))
    waiting = asyncio.ensure_future(threads.run(dropped.set))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    goes_on.set()

    assert await running
    assert await threads.run(lambda: 1) == 1
    assert not dropped.is_set()


@pytest.mark.parametrize("others", [0, 1])
async def test_a_thread_that_cannot_start_is_tried_again_for_the_next_call(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    threads = Threads(most=2)
    goes_on = threading.Event()
    running = [asyncio.ensure_future(threads.run(lambda: goes_on.wait(30))) for _ in range(others)]
    await asyncio.sleep(0)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        calls = [asyncio.ensure_future(threads.run(lambda: 1)) for _ in range(3)]
        await asyncio.sleep(0)
    if others:
        goes_on.set()
        assert await asyncio.gather(*calls) == [1, 1, 1]
    else:
        assert all(isinstance(one, RuntimeError) for one in await asyncio.gather(*calls, return_exceptions=True))
    assert [await threads.run(lambda: 2), await threads.run(lambda: 3)] == [2, 3]
    await asyncio.gather(*running)


def test_a_call_may_end_after_its_loop_was_closed() -> None:
    threads = Threads(most=1)
    goes_on = threading.Event()

    async def leave() -> None:
        call = asyncio.ensure_future(threads.run(lambda: goes_on.wait(30)))
        await asyncio.sleep(0)
        call.cancel()

    asyncio.run(leave())
    goes_on.set()
    assert asyncio.run(threads.run(lambda: 3)) == 3


async def test_a_thread_keeps_nothing_of_a_call_that_ended() -> None:
    class Large:
        gone = False

        def __del__(self) -> None:
            Large.gone = True

    threads = Threads()
    found: Large | None = await threads.run(Large)
    assert found is not None
    del found

    assert await until(lambda: Large.gone)
