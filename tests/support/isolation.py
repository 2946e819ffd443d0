"""What the shell exports and what else runs on this machine makes no difference to the tests."""

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
    """Whether a test could come out otherwise because somebody has exported this variable."""
    return variable.startswith(PREFIXES) or variable.upper() in NAMES


def forget_the_shell() -> None:
    """Run, and start whatever is started from here, as in a shell where nothing is exported and no signal ignored."""
    for variable in filter(is_foreign, list(os.environ)):
        del os.environ[variable]
    os.environ.update(GIVEN)
    heed_signals()


def heed_signals() -> None:
    """Have what is started from here heed signals that we ignore, and go on without heeding them.

    Jobs in the background are started with SIGINT ignored, and what nohup starts with SIGHUP. That is inherited, so
    a signal to a process of a test would be lost; a handler, even of nothing, is not.
    """
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    """Work in that folder, for in the project's own `make run` may have its data, by which commands would find it."""
    set_hypothesis_home_dir(ROOT / ".hypothesis")
    with chdir(folder):
        yield
