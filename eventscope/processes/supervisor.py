"""Keeps child processes running: starts again what ends by itself, and stops all of them in order."""

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
from eventscope.processes.guard import guarded, lifeline

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CALM_SECONDS = 30.0  # one that ran so long is not failing again and again: its next end counts as the first
STOP_SECONDS = 10.0
LOG_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """A program to keep running; `environment` is given to it beside our own.

    What it says goes to the file `log`, or where our own words go.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def last_words(self, since: int = 0, lines: int = 15) -> str:
        """The end of its log, of what is there from so many bytes on."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(since, self.log.stat().st_size - 16 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    @contextmanager
    def voice(self) -> Iterator[IO[bytes] | None]:
        """Where it is to speak; a log that has become large makes room for a new one."""
        if self.log is None:
            yield None
            return
        private.folder(self.log.parent)
        old = self.log.with_suffix(".old.log")
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(old)
        if old.exists():
            private.close(old, private.FILE)
        with private.append(self.log) as file:
            yield file


class _Process:
    """A process, and a thread that waits for its end.

    asyncio could do both, but nothing must come between the start and our knowing of it, such as a cancellation. And
    uvloop runs Python in the new process before the command takes over, where a lock that another thread held at that
    moment is never released: the new process would stand still, and we with it, deaf to signals.
    """

    def __init__(
        self, command: Sequence[str], log: IO[bytes] | None, environment: Mapping[str, str], held: Sequence[int]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._process = subprocess.Popen(
            command,
            stdin=lifeline(),
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            pass_fds=held,
            start_new_session=True,  # Ctrl-C is for us: we stop the children, in order
        )
        self.pid: Final = self._process.pid
        threading.Thread(target=self._wait, name=f"end of {self.pid}", daemon=True).start()

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    async def end(self) -> int:
        """Wait for its end, and give its exit code."""
        await asyncio.wait([self._ended])  # unlike the future alone, it may be waited for by several and cancelled
        return self._ended.result()

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long at most."""
        await asyncio.wait([self._ended], timeout=seconds)
        return self._ended.done()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def _wait(self) -> None:
        code = self._process.wait()
        with suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
            self._loop.call_soon_threadsafe(self._ended.set_result, code)


@dataclass(slots=True)
class _Run:
    child: Child
    process: _Process
    started: float
    began: int  # the size of its log then
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Runs children that die with this process, however it ends.

    `told` hears one sentence whenever a kept child ended, and `changed` is called when one has been started again.
    `held` are file descriptors that the children keep open as long as they live.
    """

    def __init__(
        self,
        told: Callable[[str], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        held: Sequence[int] = (),
    ) -> None:
        self._told = told
        self._changed = changed
        self._held = held
        self._runs: dict[str, _Run] = {}

    @property
    def pids(self) -> dict[str, int]:
        """The process id of each child's latest start."""
        return {name: run.process.pid for name, run in self._runs.items()}

    async def start(self, child: Child) -> None:
        """Start a child; until it is kept, its end is left to the caller to see."""
        size = child.log.stat().st_size if child.log is not None and child.log.exists() else 0
        began = size if size <= LOG_BYTES else 0  # a larger one makes room
        self._runs[child.name] = _Run(child, self._spawn(child), time.monotonic(), began)

    def last_words(self, name: str) -> str:
        """The end of what a child has said since it was started."""
        run = self._runs[name]
        return run.child.last_words(run.began)

    def end(self, name: str) -> str | None:
        """How a child ended, in words, or None while it runs."""
        code = self._runs[name].process.code
        return None if code is None else _words(code)

    def kill(self, name: str) -> None:
        """Kill a child; it is started again if it is kept."""
        self._runs[name].process.send(signal.SIGKILL)

    def keep(self) -> None:
        """From now on start again whatever ends by itself."""
        for run in self._runs.values():
            if run.keeper is None:
                run.keeper = asyncio.create_task(self._keep(run))

    async def stop(self, *names: str, seconds: float = STOP_SECONDS) -> None:
        """End these children together, or all: asked first, killed when they are still there after `seconds`."""
        await asyncio.gather(*(self._stop(name, seconds) for name in names or tuple(self._runs) if name in self._runs))

    async def _keep(self, run: _Run) -> None:
        pauses = _pauses()
        while True:
            code = await run.process.end()
            if time.monotonic() - run.started > CALM_SECONDS:
                pauses = _pauses()
            pause = next(pauses)
            place = f" (see {run.child.log})" if run.child.log else ""
            self._told(f"{run.child.name} {_words(code)}; starting it again in {pause:g} s{place}")
            await asyncio.sleep(pause)
            run.started = time.monotonic()
            with suppress(OSError):  # the system has no process or no file to give now: the next turn tries again
                run.process = self._spawn(run.child)
                self._changed()

    def _spawn(self, child: Child) -> _Process:
        with child.voice() as log:
            return _Process(guarded(child.command), log, child.environment, self._held)

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


def _words(code: int) -> str:
    return f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
