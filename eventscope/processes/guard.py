"""Starts a command that must not outlive its parent process, even if the parent is killed.

    guard.py --parent PID -- COMMAND ...    the kernel kills the command when its parent dies (Linux only)
    guard.py -- COMMAND ...                 a watcher kills it when the pipe from the parent closes (any system)

Either way the guard becomes the command, so its process id and the signals sent to it are the command's own.
It runs as a bare script that imports no package, so that it costs only milliseconds.
"""

import ctypes
import os
import select
import signal
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

PR_SET_PDEATHSIG = 1


def guard_command(command: Sequence[str | Path]) -> list[str]:
    """The command line that runs `command` as our child, for as long as this process lives and no longer.

    Start it with `lifeline()` as its standard input, and from the main thread: to the kernel, the parent is dead once
    the thread that started the child has ended.
    """
    parent = ["--parent", str(os.getpid())] if sys.platform == "linux" else []
    return [sys.executable, "-I", "-S", __file__, *parent, "--", *map(str, command)]


@cache
def lifeline() -> int:
    """The read end, for children, of a pipe whose write end this process holds until it ends."""
    theirs, _ours = os.pipe()
    return theirs


def main(arguments: list[str]) -> NoReturn:
    """Tie this process to its parent and become the command."""
    split = arguments.index("--")
    options, command = arguments[:split], arguments[split + 1 :]
    if not options:
        _leave_watcher()
    elif sys.platform == "linux":
        _die_with(int(options[1]))
    # the command starts as usual: with nothing to read, and SIGPIPE as it was before Python changed it
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvp(command[0], command)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # the parent died before we asked the kernel to watch it
        sys.exit(1)


def _leave_watcher() -> None:
    command = os.getpid()
    if os.fork() == 0:
        os.closerange(1, 256)  # others may be waiting for these pipes to close
        # this child of the command gets another parent when the command ends, so it never kills a reused id
        while os.getppid() == command:
            if select.select([0], [], [], 1.0)[0] and _is_closed(0):
                os.kill(command, signal.SIGKILL)
                break
        os._exit(0)


def _is_closed(pipe: int) -> bool:
    try:
        return not os.read(pipe, 4096)
    except OSError:
        return True


if __name__ == "__main__":
    main(sys.argv[1:])
