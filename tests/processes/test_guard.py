"""A guarded command lives as long as the process that started it, and no longer."""

import os
import select
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from eventscope.processes import guard
from eventscope.processes.guard import guard_command, lifeline

pytestmark = pytest.mark.processes

Until = Callable[[Callable[[], object]], Coroutine[None, None, None]]
Alive = Callable[[int], bool]

WATCHED = [sys.executable, "-I", "-S", guard.__file__, "--"]  # as on systems where the kernel does not help

PARENT = """
import subprocess, sys, time
from eventscope.processes.guard import guard_command, lifeline
command = ["sleep", "600"]
whole = guard_command(command) if sys.argv[1] == "kernel" else [sys.executable, "-I", "-S", sys.argv[2], "--", *command]
print(subprocess.Popen(whole, stdin=lifeline()).pid, flush=True)
time.sleep(600)
"""

linux = pytest.param("kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports deaths"))


@pytest.mark.parametrize("way", [linux, "watcher"])
async def test_a_guarded_command_dies_when_its_parent_is_killed(way: str, until: Until, alive: Alive) -> None:
    parent = await create_subprocess_exec(sys.executable, "-c", PARENT, way, guard.__file__, stdout=PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await until(lambda: _is_sleep(child))
    parent.kill()
    await until(lambda: not alive(child))
    await parent.wait()


@pytest.mark.parametrize("before", [guard_command([]), WATCHED])
async def test_a_guarded_command_gets_its_own_signals_and_exit_code(before: list[str], until: Until) -> None:
    process = await create_subprocess_exec(*before, "sleep", "600", stdin=lifeline())
    await until(lambda: _is_sleep(process.pid))
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == -signal.SIGTERM


@pytest.mark.parametrize("before", [guard_command([]), WATCHED])
def test_a_guarded_command_starts_with_nothing_to_read(before: list[str]) -> None:
    done = subprocess.run([*before, "cat"], stdin=lifeline(), capture_output=True, check=True)
    assert done.stdout == b""


@pytest.mark.parametrize("before", [guard_command([]), WATCHED])
def test_a_command_whose_output_nobody_reads_ends_with_a_broken_pipe_as_usual(before: list[str]) -> None:
    theirs, ours = os.pipe()
    with subprocess.Popen([*before, "yes"], stdin=lifeline(), stdout=ours) as process:
        os.close(ours)
        os.close(theirs)
        assert process.wait() == -signal.SIGPIPE


def test_a_command_is_not_started_if_its_parent_died_before_the_guard_could_watch_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    orphan = [*WATCHED[:-1], "--parent", str(2**22 + 1), "--", "touch", str(mark)]  # no process has such an id
    assert subprocess.run(orphan, check=False).returncode == 1
    assert not mark.exists()


async def test_the_watcher_ends_with_its_command(until: Until) -> None:
    theirs, ours = os.pipe()
    command = await create_subprocess_exec(*WATCHED, "true", stdin=theirs)
    os.close(theirs)
    assert await command.wait() == 0
    poll = select.poll()
    poll.register(ours, 0)
    await until(lambda: any(event & select.POLLERR for _, event in poll.poll(0)))  # nobody holds the other end
    os.close(ours)


def _is_sleep(pid: int) -> bool:
    named = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return Path(named.stdout.strip()).name == "sleep"
