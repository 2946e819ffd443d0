"""Keeps child processes running: restarts those that end by themselves, and stops all of them in order."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Final

from eventscope.background import cancel
from eventscope.processes import private
from eventscope.processes.guard import guard_command, lifeline

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CALM_SECONDS = 30.0  # a child that ran this long is not in a crash loop: its next end counts as the first
STOP_SECONDS = 10.0
LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """A program to keep running, with `environment` added to our own.

    Its output goes to the file `log`, or to our own standard streams if there is none.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def log_tail(self, start: int = 0, lines: int = 15) -> str:
        """The last lines of its log, after the first `start` bytes."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(start, self.log.stat().st_size - 16 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    @contextmanager
    def output(self) -> Iterator[IO[bytes] | None]:
        """The file for its output, None for our own streams; a log that has become too large is rotated."""
        if self.log is None:
            yield None
            return
        private.folder(self.log.parent)
        rotated = self.log.with_suffix(".old.log")
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(rotated)
        if rotated.exists():
            private.close(rotated, private.FILE)
        with private.append(self.log) as file:
            yield file


class _Process:
    """A process, and a thread that waits for its end.

    We do not use asyncio's own, for two reasons. A cancellation between the start of a process and its return to us
    would leave a process that nobody knows of. And uvloop runs Python code in the fork before the command takes over: a
    lock that another thread held at that moment is never released there, so the fork hangs, and we hang with it, deaf
    to signals.
    """

    def __init__(
        self, command: Sequence[str], log: IO[bytes] | None, environment: Mapping[str, str], descriptors: Sequence[int]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[int] = self._loop.create_future()
        self._process = subprocess.Popen(
            command,
            stdin=lifeline(),
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C reaches only us, and we stop the children in order
        )
        self.pid: Final = self._process.pid
        threading.Thread(target=self._wait, name=f"end of {self.pid}", daemon=True).start()

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    async def end(self) -> int:
        """Wait for its end, and return its exit code."""
        await asyncio.wait([self._exit])  # a task that awaits the future itself cancels it for all if cancelled
        return self._exit.result()

    async def ends_within(self, seconds: float) -> bool:
        """Whether it ends within this time."""
        await asyncio.wait([self._exit], timeout=seconds)
        return self._exit.done()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def _wait(self) -> None:
        code = self._process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            self._loop.call_soon_threadsafe(self._exit.set_result, code)


@dataclass(slots=True)
class _Run:
    child: Child
    process: _Process
    start: float
    log_start: int  # the size of its log when it started
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Runs children that die with this process, however it ends.

    `report` gets one sentence whenever a kept child has ended, and `on_restart` is called after each restart.
    The children inherit `descriptors`, file descriptors that stay open as long as they live.
    """

    def __init__(
        self,
        report: Callable[[str], None] = lambda _: None,
        on_restart: Callable[[], None] = lambda: None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._report = report
        self._on_restart = on_restart
        self._descriptors = descriptors
        self._runs: dict[str, _Run] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each child's latest start."""
        return {name: run.process.pid for name, run in self._runs.items()}

    async def start(self, child: Child) -> None:
        """Start a child; nothing restarts it before `keep`."""
        size = child.log.stat().st_size if child.log is not None and child.log.exists() else 0
        log_start = size if size <= LOG_BYTES else 0  # a larger log is rotated
        self._runs[child.name] = _Run(child, self._spawn(child), time.monotonic(), log_start)

    def log_tail(self, name: str) -> str:
        """The last lines that a child has logged since its start."""
        run = self._runs[name]
        return run.child.log_tail(run.log_start)

    def ending(self, name: str) -> str | None:
        """How a child ended, in words; None while it runs."""
        code = self._runs[name].process.code
        return None if code is None else _ending(code)

    def kill(self, name: str) -> None:
        """Kill a child; one that is kept running is restarted."""
        self._runs[name].process.send(signal.SIGKILL)

    def keep(self) -> None:
        """From now on, restart every child that ends by itself."""
        for run in self._runs.values():
            if run.keeper is None:
                run.keeper = asyncio.create_task(self._keep(run))

    async def stop(self, *names: str, seconds: float = STOP_SECONDS) -> None:
        """Stop these children, or all, at the same time: with SIGTERM, and after `seconds` with SIGKILL."""
        await asyncio.gather(*(self._stop(name, seconds) for name in names or tuple(self._runs) if name in self._runs))

    async def _keep(self, run: _Run) -> None:
        pauses = _pauses()
        while True:
            code = await run.process.end()
            if time.monotonic() - run.start > CALM_SECONDS:
                pauses = _pauses()
            pause = next(pauses)
            log = f" (see {run.child.log})" if run.child.log else ""
            self._report(f"{run.child.name} {_ending(code)}; restarting it in {pause:g} s{log}")
            await asyncio.sleep(pause)
            run.start = time.monotonic()
            with suppress(OSError):  # out of processes or files: the loop retries, as the old process has ended
                run.process = self._spawn(run.child)
                self._on_restart()

    def _spawn(self, child: Child) -> _Process:
        with child.output() as log:
            return _Process(guard_command(child.command), log, child.environment, self._descriptors)

    async def _stop(self, name: str, seconds: float) -> None:
        run = self._runs[name]
        if run.keeper is not None:
            await cancel(run.keeper)
        run.process.send(signal.SIGTERM)
        if not await run.process.ends_within(seconds):
            run.process.send(signal.SIGKILL)
            await run.process.end()
        del self._runs[name]


def _pauses() -> Iterator[float]:
    return (min(FIRST_PAUSE * 2**turn, LONGEST_PAUSE) for turn in count())


def _ending(code: int) -> str:
    return f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
