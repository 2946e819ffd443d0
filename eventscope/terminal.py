"""Lines for people, which may hold what anybody sent: nothing of it steers their terminal, or is too much for it."""

import io
import logging
import re
import sys
from typing import Final, TextIO

from eventscope.redact import redacted_text

UNCOMMON: Final = re.compile(r"[^\x20-\x7e\n]")


def prepare() -> None:
    """Let the terminal of this process show an escape for each character that it cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def safe(text: str) -> str:
    """The text with an escape for each character that a terminal would not show, line ends among them."""
    return "".join(sign if sign.isprintable() or sign == "\t" else repr(sign)[1:-1] for sign in text)


def say(line: str, file: TextIO | None = None) -> None:
    """Print the line, made safe."""
    stream = file or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(safe(line).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def say_json(raw: bytes) -> None:
    """Print JSON that means the same, with JSON's own escapes for what the terminal must not or cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(UNCOMMON.sub(lambda found: _shown(found[0], encoding), raw.decode()), flush=True)


class SafeFormatter(logging.Formatter):
    """Writes a record as one line, made safe, and its traceback, if it has one, as lines that are."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of the record."""
        text = redacted_text(super().format(record))
        # what a message holds must not pass for a line of its own
        lines = text.split("\n") if record.exc_info or record.stack_info else [text]
        return "\n".join(map(safe, lines))


def _shown(sign: str, encoding: str) -> str:
    if sign.isprintable():
        try:
            sign.encode(encoding)
            return sign
        except UnicodeEncodeError:
            pass
    units = sign.encode("utf-16-be")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
