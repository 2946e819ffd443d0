"""Keeps child processes running: starts again what ends by itself, and stops all of them in order."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO

from eventscope.guard import guarded, lifeline

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

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    @contextmanager
    def voice(self) -> Iterator[IO[bytes] | None]:
        """Where it is to speak; a log that has become large makes room for a new one."""
        if self.log is None:
            yield None
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old.log"))
        with self.log.open("ab") as file:
            yield file


@dataclass(slots=True)
class _Run:
    child: Child
    process: Process
    started: float
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
        self._runs[child.name] = _Run(child, await self._spawn(child), time.monotonic())

    def end(self, name: str) -> str | None:
        """How a child ended, in words, or None while it runs."""
        code = self._runs[name].process.returncode
        return None if code is None else _words(code)

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
            code = await run.process.wait()
            if time.monotonic() - run.started > CALM_SECONDS:
                pauses = _pauses()
            pause = next(pauses)
            place = f" (see {run.child.log})" if run.child.log else ""
            self._told(f"{run.child.name} {_words(code)}; starting it again in {pause:g} s{place}")
            await asyncio.sleep(pause)
            run.started = time.monotonic()
            with suppress(OSError):  # the system has no process or no file to give now: the next turn tries again
                run.process = await self._spawn(run.child)
                self._changed()

    async def _spawn(self, child: Child) -> Process:
        with child.voice() as log:
            return await asyncio.create_subprocess_exec(
                *guarded(child.command),
                stdin=lifeline(),
                stdout=log,
                stderr=log,
                env={**os.environ, **child.environment},
                pass_fds=self._held,
                start_new_session=True,  # Ctrl-C is for us: we stop the children, in order
            )

    async def _stop(self, name: str, seconds: float) -> None:
        run = self._runs[name]
        if run.keeper is not None:
            run.keeper.cancel()
            await asyncio.wait([run.keeper])
        with suppress(ProcessLookupError):
            run.process.terminate()
        try:
            await asyncio.wait_for(run.process.wait(), seconds)
        except TimeoutError:
            with suppress(ProcessLookupError):
                run.process.kill()
            await run.process.wait()
        del self._runs[name]


def _pauses() -> Iterator[float]:
    return (min(FIRST_PAUSE * 2**turn, LONGEST_PAUSE) for turn in count())


def _words(code: int) -> str:
    return f"was ended by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with exit code {code}"
