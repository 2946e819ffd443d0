"""Work ends after a signal, however often it must be cancelled, and processes started meanwhile are not lost."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from eventscope.processes.ending import run_until, run_until_signal, stop_request

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# in a child of a process with threads, a lock that libraries take after a fork may be held for ever
STARTS_A_CHILD = """
import asyncio, os, time, uvloop
from eventscope.processes.supervisor import Child, Supervisor

os.register_at_fork(after_in_child=lambda: time.sleep(600))

async def main():
    supervisor = Supervisor()
    await supervisor.start(Child("child", ["true"]))
    while supervisor.ending("child") is None:
        await asyncio.sleep(0.01)

with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


async def deaf(times: int, begun: asyncio.Event) -> None:
    """Work that swallows this many cancellations."""
    for _ in range(times):
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(600)
    await asyncio.sleep(600)


@pytest.mark.parametrize("number", NUMBERS)
async def test_work_that_swallows_cancellations_ends_after_one_signal(number: signal.Signals) -> None:
    begun = asyncio.Event()
    with stop_request(signal.SIGHUP) as stop:
        work = asyncio.create_task(run_until(stop, deaf(2, begun)))
        await begun.wait()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(60):
            await work
        assert stop
        assert stop.number == number


async def test_a_result_from_before_the_signal_is_returned_and_a_failure_is_raised() -> None:
    async def one() -> int:
        return 1

    async def fails() -> None:
        raise ArithmeticError

    with stop_request() as stop:
        assert await run_until(stop, one()) == 1
        assert not stop
    with pytest.raises(ArithmeticError):
        await run_until_signal(fails())


async def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_request(signal.SIGHUP) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGINT)
            await stop.wait()
            assert stop.number == signal.SIGINT
    finally:
        signal.signal(signal.SIGHUP, former)


async def test_signals_go_to_whatever_ends_the_work_in_order_once_it_is_set() -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    with stop_request() as stop:
        stop.handler = heard.put_nowait
        os.kill(os.getpid(), signal.SIGTERM)
        assert await heard.get() == signal.SIGTERM
        assert not stop


@pytest.mark.processes
def test_starting_a_child_does_not_wait_for_what_libraries_do_after_a_fork() -> None:
    subprocess.run([sys.executable, "-c", STARTS_A_CHILD], check=True, timeout=60)
