"""Keeps the shell's exports, and what else runs on this machine, from making a difference to the tests."""

import os
import signal
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Final

from hypothesis.configuration import set_hypothesis_home_dir

ROOT: Final = Path(__file__).parents[2]
# ours, git's, which a hook sets for all that it runs, and the locale
PREFIXES: Final = ("EVENTSCOPE_", "GIT_", "LC_")
NAMES: Final = frozenset(
    {
        *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL", "NO", "WS", "WSS")),
        *("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"),
        *("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS", "LANGUAGE"),
    }
)
GIVEN: Final = {"LANG": "C.UTF-8", "TERM": "xterm"}


def is_foreign(variable: str) -> bool:
    """Whether this variable, if exported, could change the result of a test."""
    return variable.startswith(PREFIXES) or variable.upper() in NAMES


def forget_the_shell() -> None:
    """Run this process and its children as in a shell where nothing is exported and no signal is ignored."""
    for variable in filter(is_foreign, list(os.environ)):
        del os.environ[variable]
    os.environ.update(GIVEN)
    heed_signals()


def heed_signals() -> None:
    """Let processes started from here receive signals that this one ignores, and continue to ignore them here.

    Background jobs start with SIGINT ignored, and what nohup starts with SIGHUP ignored. That is inherited, so a
    signal to a process of a test would be lost; a handler, even one that does nothing, is not inherited.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in that folder: the project's own may hold the data of `make run`, through which commands would find it."""
    set_hypothesis_home_dir(ROOT / ".hypothesis")
    with chdir(folder):
        yield
