"""Which tests start processes (servers, browsers, commands): `make quick` leaves them out, so they must be marked."""

import sys
from typing import Final

import pytest

MARKER: Final = "processes"
SERVERS: Final = frozenset({"mongo_url", "nats_url"})  # fixtures that start one
STARTS: Final = frozenset({"subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "os.exec"})

_forbidden_to: str | None = None  # the test that runs now, if it is not marked


def mark(item: pytest.Item) -> None:
    """Mark a test that gets a server from a fixture, directly or through others."""
    if SERVERS.intersection(getattr(item, "fixturenames", ())):
        item.add_marker(MARKER)


def watch(item: pytest.Item | None) -> None:
    """Forbid this test to start a process, unless the test is marked."""
    global _forbidden_to
    _forbidden_to = item.nodeid if item and not item.get_closest_marker(MARKER) else None


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and _forbidden_to:
        # not an Exception, which the code under test could catch
        pytest.fail(f"{_forbidden_to} starts {arguments[0]!r}, so it must be marked with pytest.mark.{MARKER}")


sys.addaudithook(_look)
