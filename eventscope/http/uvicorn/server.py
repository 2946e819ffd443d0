"""uvicorn's server without its signal handlers: they would end the process before it has cleaned up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from eventscope.internals import Internals

INTERNALS: Final = Internals(
    "uvicorn", {uvicorn.Server: {"shutdown": "sockets", "capture_signals": "", "handle_exit": "sig frame"}}
)


class SignalFreeServer(uvicorn.Server):
    """Leaves signals to the process; ends when `should_exit` is set."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
