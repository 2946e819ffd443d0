"""Lines for people, which may hold what anybody sent: nothing of it steers their terminal."""

import sys


def say(line: str) -> None:
    """Print the line, with an escape for each character that a terminal would not show, or cannot encode."""
    safe = "".join(sign if sign.isprintable() or sign == "\t" else repr(sign)[1:-1] for sign in line)
    encoding = sys.stdout.encoding or "utf-8"
    print(safe.encode(encoding, "backslashreplace").decode(encoding))
