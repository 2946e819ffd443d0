"""Eventscope on a machine with a wrong clock, for chaos runs: a file says by how many days it is wrong.

    python tests/chaos/wrong_clock.py FILE ingest

Without the file the clock is right.
"""

import sys
from pathlib import Path

from eventscope.cli.main import main
from eventscope.store.values import moment

_right = moment.now


def wrong(file: Path) -> moment.Clock:
    """A clock that is wrong by the days in the file."""

    def now() -> int:
        try:
            return _right() + int(file.read_text()) * moment.DAY
        except (FileNotFoundError, ValueError):  # removed again, or being written
            return _right()

    return now


if __name__ == "__main__":
    moment.now = wrong(Path(sys.argv.pop(1)))
    main()
