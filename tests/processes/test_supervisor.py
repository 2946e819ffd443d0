"""The supervisor keeps children running, and ends them on request."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from eventscope.processes.supervisor import LOG_BYTES, Child, Supervisor

pytestmark = pytest.mark.processes

Until = Callable[[Callable[[], object]], Coroutine[None, None, None]]
Alive = Callable[[int], bool]

READY = "import signal, sys, time; print('ready', flush=True); "
POLITE = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(print('bye'))); " + READY + "time.sleep(600)"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); " + READY + "time.sleep(600)"


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    running = Supervisor()
    yield running
    await running.stop(seconds=0.1)


def child(tmp_path: Path, code: str, name: str = "child", **environment: str) -> Child:
    return Child(name, [sys.executable, "-c", code], tmp_path / f"{name}.log", environment)


async def test_a_kept_child_that_is_killed_is_restarted(
    tmp_path: Path, until: Until, alive: Alive, supervisor: Supervisor
) -> None:
    await supervisor.start(child(tmp_path, POLITE))
    supervisor.keep()
    first = supervisor.pids["child"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids["child"] != first)
    assert alive(supervisor.pids["child"])
    assert not alive(first)


async def test_the_supervisor_reports_each_end_and_each_restart_of_its_children(tmp_path: Path, until: Until) -> None:
    told: list[str] = []
    news = asyncio.Event()
    supervisor = Supervisor(told.append, news.set)
    await supervisor.start(child(tmp_path, POLITE))
    supervisor.keep()
    first = supervisor.pids["child"]
    os.kill(first, signal.SIGKILL)
    await news.wait()
    assert told == [f"child was ended by signal 9 (Killed); restarting it in 0.2 s (see {tmp_path}/child.log)"]
    assert supervisor.pids["child"] != first
    await supervisor.stop()


async def test_a_child_that_ends_repeatedly_is_restarted_after_longer_and_longer_pauses(
    tmp_path: Path, until: Until
) -> None:
    told: list[str] = []
    supervisor = Supervisor(told.append)
    await supervisor.start(child(tmp_path, "raise SystemExit(3)"))
    supervisor.keep()
    await until(lambda: len(told) == 3)
    await supervisor.stop()
    pauses = [sentence.partition("restarting it in ")[2].partition(" (")[0] for sentence in told]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]
    assert all(sentence.startswith("child ended with exit code 3;") for sentence in told)


async def test_a_child_that_is_not_kept_yet_is_not_restarted_and_its_end_is_reported(
    tmp_path: Path, until: Until, supervisor: Supervisor
) -> None:
    await supervisor.start(child(tmp_path, "print('no such table'); raise SystemExit(3)"))
    await until(lambda: supervisor.ending("child"))
    assert supervisor.ending("child") == "ended with exit code 3"
    assert child(tmp_path, "").log_tail() == "no such table"


async def test_a_child_gets_a_signal_and_time_to_end(
    tmp_path: Path, until: Until, alive: Alive, supervisor: Supervisor
) -> None:
    polite = child(tmp_path, POLITE)
    await supervisor.start(polite)
    supervisor.keep()
    await until(lambda: polite.log_tail() == "ready")
    pid = supervisor.pids["child"]
    await supervisor.stop()
    assert polite.log_tail().splitlines() == ["ready", "bye"]
    assert not alive(pid)
    assert supervisor.pids == {}


async def test_a_child_that_ignores_the_signal_is_killed(
    tmp_path: Path, until: Until, alive: Alive, supervisor: Supervisor
) -> None:
    stubborn = child(tmp_path, STUBBORN)
    await supervisor.start(stubborn)
    await until(lambda: stubborn.log_tail() == "ready")
    pid = supervisor.pids["child"]
    await supervisor.stop(seconds=0.1)
    assert not alive(pid)


async def test_a_child_that_hangs_is_killed(tmp_path: Path, alive: Alive, supervisor: Supervisor) -> None:
    await supervisor.start(child(tmp_path, POLITE))
    pid = supervisor.pids["child"]
    os.kill(pid, signal.SIGSTOP)
    await supervisor.stop(seconds=0.1)
    assert not alive(pid)


async def test_a_child_can_be_stopped_in_the_pause_before_its_restart(tmp_path: Path, until: Until) -> None:
    told: list[str] = []
    supervisor = Supervisor(told.append)
    await supervisor.start(child(tmp_path, "raise SystemExit(3)"))
    supervisor.keep()
    await until(lambda: told)
    await supervisor.stop()
    assert supervisor.pids == {}


async def test_some_children_can_be_stopped_before_the_others(
    tmp_path: Path, alive: Alive, supervisor: Supervisor
) -> None:
    await supervisor.start(child(tmp_path, POLITE, "early"))
    await supervisor.start(child(tmp_path, POLITE, "late"))
    supervisor.keep()
    await supervisor.stop("early", "unknown", seconds=0.1)
    assert list(supervisor.pids) == ["late"]
    assert alive(supervisor.pids["late"])


async def test_a_child_gets_our_environment_and_its_own_additions(
    tmp_path: Path, until: Until, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "1")
    asking = child(tmp_path, "import os; print(os.environ['OURS'], os.environ['ITS'])", ITS="2")
    await supervisor.start(asking)
    await until(lambda: supervisor.ending("child"))
    assert asking.log_tail() == "1 2"


async def test_ctrl_c_at_the_terminal_does_not_reach_the_children(tmp_path: Path, supervisor: Supervisor) -> None:
    """The supervisor ends them in order, so they must not be in its process group."""
    await supervisor.start(child(tmp_path, POLITE))
    assert os.getpgid(supervisor.pids["child"]) != os.getpgid(0)


async def test_a_log_is_continued_at_the_next_start_and_rotated_when_it_is_large(
    tmp_path: Path, until: Until, supervisor: Supervisor
) -> None:
    speaking = child(tmp_path, "print('word')")
    log = tmp_path / "child.log"
    for _ in range(2):
        await supervisor.start(speaking)
        await until(lambda: supervisor.ending("child"))
    assert log.read_text() == "word\nword\n"
    os.truncate(log, LOG_BYTES + 1)
    await supervisor.start(speaking)
    await until(lambda: supervisor.ending("child"))
    assert log.read_text() == "word\n"
    assert (tmp_path / "child.old.log").stat().st_size == LOG_BYTES + 1


async def test_a_child_without_a_log_writes_where_we_do(
    until: Until, supervisor: Supervisor, capfd: pytest.CaptureFixture[str]
) -> None:
    await supervisor.start(Child("child", [sys.executable, "-c", "print('word')"]))
    await until(lambda: supervisor.ending("child"))
    assert capfd.readouterr().out == "word\n"


def test_a_child_that_wrote_nothing_has_no_last_lines(tmp_path: Path) -> None:
    assert child(tmp_path, "").log_tail() == ""
    assert Child("child", ["true"]).log_tail() == ""
