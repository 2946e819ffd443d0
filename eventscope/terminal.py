"""Lines for a terminal, made safe: they may contain text from anybody, with control sequences in it."""

import io
import logging
import re
import sys
from typing import Final, TextIO

from eventscope.redact import redacted_text

UNCOMMON: Final = re.compile(r"[^\x20-\x7e\n]")


def prepare() -> None:
    """Make our standard streams write an escape for each character that they cannot encode."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def safe(text: str) -> str:
    """The text with an escape for each character that is not printable, including line ends."""
    return "".join(letter if letter.isprintable() or letter == "\t" else repr(letter)[1:-1] for letter in text)


def say(line: str, file: TextIO | None = None) -> None:
    """Print the line, made safe."""
    stream = file or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(safe(line).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def say_json(raw: bytes) -> None:
    """Print equivalent JSON, with JSON's own escapes for what the terminal must not or cannot show."""
    encoding = sys.stdout.encoding or "utf-8"
    print(UNCOMMON.sub(lambda match: _json_escape(match[0], encoding), raw.decode()), flush=True)


class SafeFormatter(logging.Formatter):
    """Writes a record as one safe line, and its traceback, if it has one, as several."""

    def format(self, record: logging.LogRecord) -> str:
        """The text of the record."""
        text = redacted_text(super().format(record))
        # a line end inside a message must not start a line that looks like another record
        lines = text.split("\n") if record.exc_info or record.stack_info else [text]
        return "\n".join(map(safe, lines))


def _json_escape(letter: str, encoding: str) -> str:
    if letter.isprintable():
        try:
            letter.encode(encoding)
            return letter
        except UnicodeEncodeError:
            pass
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
