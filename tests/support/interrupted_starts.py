"""Starts `eventscope dev` again and again under load, and signals it at a random moment of its start.

    python -m tests.support.interrupted_starts --starts 50 --seed 1

Each time it must end in time, with no child and no lock left, and the next start must find the events of all
earlier starts.
"""

import argparse
import asyncio
import fcntl
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eventscope import EventsService
from eventscope.dev.data_folder import RunningDev, running_dev
from tests.support.isolation import heed_signals
from tests.support.until import until

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BOUND: Final = 30.0  # seconds from the signal to the end
PROGRAM: Final = (sys.executable, "-m", "eventscope", "dev", "--port", "0")


@dataclass(frozen=True, slots=True)
class End:
    """How one start ended: the signal and when it came, the exit code, the seconds that it took, and its output."""

    number: signal.Signals
    moment: float
    code: int
    seconds: float
    free: bool
    said: str

    @property
    def faults(self) -> list[str]:
        """What is wrong with it."""
        found = []
        if self.code != 0 and (self.code not in default_exit_codes(self.number) or "starting" in self.said):
            found.append(f"its exit code is {self.code}")
        if self.seconds >= BOUND:
            found.append(f"it was killed after {BOUND:g} s")
        if not self.free:
            found.append("a child of it lives on")
        return found

    def __str__(self) -> str:
        wrong = "; ".join(self.faults)
        return (
            f"{self.number.name} after {self.moment:.2f} s: exit code {self.code} within {self.seconds:.2f} s {wrong}"
        )


def default_exit_codes(number: int) -> tuple[int, ...]:
    """The exit codes if a signal comes before our handlers are set, and has its default effect.

    A Ctrl-C while Python itself starts makes the code 1.
    """
    return (-number, 1) if number == signal.SIGINT else (-number,)


async def start_and_signal(folder: Path, number: signal.Signals, moment: float) -> End:
    """One start that gets a signal this many seconds later."""
    async with _started(folder) as (process, output):
        await asyncio.sleep(moment)
        sent = time.monotonic()
        process.send_signal(number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), BOUND)
        seconds = time.monotonic() - sent
        code = process.returncode
    # a process that is killed with its parent takes a moment to end
    with suppress(TimeoutError):
        await until(lambda: is_free(folder), 5.0)
    return End(number, moment, -signal.SIGKILL if code is None else code, seconds, is_free(folder), output.read_text())


async def start_and_publish(folder: Path, head: int) -> int:
    """A whole start, which must find this many events and gets one more; returns their number then."""
    async with _started(folder) as (process, output):

        def up() -> RunningDev | None:
            assert process.returncode is None, output.read_text()
            return running_dev(folder)

        here = await until(up, 120.0)
        assert here is not None
        async with EventsService.connect(here.nats, here.api) as service:
            stored = [event.data async for event in service.replay_events()]
            assert stored == list(range(head)), f"{len(stored)} of {head} events are there"
            await service.publish_event("start.happened", head)
        process.terminate()
        await process.wait()
    return head + 1


def is_free(folder: Path) -> bool:
    """Whether no process of an `eventscope dev` is running: each of them holds the folder's lock."""
    with suppress(BlockingIOError, FileNotFoundError), (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return not (folder / "lock").exists()


@contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep the machine busy with this many processes."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@asynccontextmanager
async def _started(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    output = folder.with_suffix(".output")
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "--data-dir", str(folder), stdout=file, stderr=file, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
    try:
        yield process, output
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run_starts(folder: Path, count: int, seed: int, every: int = 1) -> list[End]:
    """This many starts, with the signals in turn at moments spread over the start; checks the events after `every`."""
    dice = random.Random(seed)
    began = time.monotonic()
    ends, head = [], await start_and_publish(folder, 0)
    latest = time.monotonic() - began  # a whole start and its end, at the speed of this machine now
    moments = [latest * (place + dice.random()) / count for place in range(count)]
    dice.shuffle(moments)
    for place, moment in enumerate(moments):
        ends.append(await start_and_signal(folder, SIGNALS[place % len(SIGNALS)], moment))
        print(place + 1, ends[-1], flush=True)
        if (place + 1) % every == 0:
            head = await start_and_publish(folder, head)
    return ends


def main() -> int:
    """Do this many starts, and print what went wrong; the exit code is 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.interrupted_starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--busy", type=int, default=2, help="processes that take all the time that they can get")
    options = parser.parse_args()
    heed_signals()
    with load(options.busy), tempfile.TemporaryDirectory(prefix="starts-") as folder:
        ends = asyncio.run(run_starts(Path(folder) / "data", options.starts, options.seed))
    wrong = [end for end in ends if end.faults]
    codes = sorted({end.code for end in ends})
    print(
        f"{len(ends)} starts, {len(wrong)} wrong; exit codes {codes}; "
        f"the longest end took {max(end.seconds for end in ends):.2f} s; every event was found after each"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
