"""The form of exported events, one per line or row, and the message that an import makes from each. No I/O.

An exported event has all members of the event, and its place in the log: `position`, `cursor` and `recordedAt`. These
three mean nothing in another log, and distinguish a line of an export from a message.
"""

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, cast

import orjson

from eventscope.client import event
from eventscope.client.event import ENCODING, Event
from eventscope.subscriptions.publish.protocol import EventMessage

LOG_MEMBERS: Final = ("position", "cursor", "recordedAt")
NAMES: Final[Mapping[str, str]] = {member: field for field, member in event.NAMES.items()}
COLUMNS: Final = tuple(NAMES)
JSON: Final = ("data", "metadata", "extensions")
INTEGERS: Final = ("position", "version", "claimedVersion")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")  # a cell that begins like this is a formula in spreadsheets
END: Final = "end"
LAST: Final = b'{"end":'  # start of the last line
BOM: Final = b"\xef\xbb\xbf"


def record(event: Event) -> dict[str, Any]:
    """The members of the event by name, without those that are None."""
    return {name: value for name, own in NAMES.items() if (value := getattr(event, own)) is not None}


def line(event: Event) -> bytes:
    """The event as a line of JSON."""
    return orjson.dumps(record(event), option=ENCODING | orjson.OPT_APPEND_NEWLINE)


def end_line(cursor: str | None, count: int, sha256: str) -> bytes:
    """The last line of a file; a file without it was cut off. `sha256` is the digest of all lines before it."""
    end = {"cursor": cursor, "count": count, "sha256": sha256}
    return orjson.dumps({END: end}, option=orjson.OPT_APPEND_NEWLINE)


def header_row() -> bytes:
    """The row of column names."""
    return _row(COLUMNS)


def row(event: Event) -> bytes:
    """The event as a row of CSV; a JSON value is one cell, and no cell is a formula."""
    members = orjson.loads(line(event))
    return _row([_cell(name, members[name]) if name in members else "" for name in COLUMNS])


def is_record(content: object) -> bool:
    """Whether this is a line of an export, not a message."""
    return (
        isinstance(content, dict)
        and content.keys() <= NAMES.keys()
        and all(name in content for name in ("messageId", "type", *LOG_MEMBERS))
    )


def parse_row(cells: Sequence[str]) -> dict[str, Any]:
    """The members of a row that `row` wrote. ValueError when a cell is not valid."""
    members: dict[str, Any] = {}
    for name, cell in zip(COLUMNS, cells, strict=True):
        text = cell[1:] if cell.startswith("'") else cell
        if text:
            members[name] = orjson.loads(text) if name in JSON or name in INTEGERS else text
    return members


def message(content: Mapping[str, Any]) -> EventMessage:
    """The message by which a line of an export is imported, in the envelope `exported`.

    Its version is a claim: each log gives its own, which is the same if the log has all events of the aggregate.
    """
    message = {name: value for name, value in content.items() if name not in (*LOG_MEMBERS, "claimedVersion")}
    claimed = content.get("claimedVersion", content.get("version"))
    return message if claimed is None else {**message, "version": claimed}


class EndLine(TypedDict):
    """The content of the last line of an export."""

    cursor: str | None
    count: int
    sha256: str


def parse_end(text: bytes) -> EndLine | None:
    """The content of the line if it is the last one of an export, else None."""
    if not text.startswith(LAST):
        return None
    try:
        line = orjson.loads(text)
        end = line[END]
        is_end = len(line) == 1 and type(end["count"]) is int and type(end["sha256"]) is str
    except (ValueError, TypeError, KeyError):
        return None
    return cast("EndLine", end) if is_end else None


def strip_line(number: int, raw: bytes) -> bytes:
    """The line without surrounding white space; line 1 also without a byte order mark."""
    return (raw.removeprefix(BOM) if number == 1 else raw).strip()


class EndCheck:
    """Checks lines of an export against the count and digest in its last line."""

    def __init__(self) -> None:
        self._reset()

    def add(self, text: bytes) -> None:
        """Add a line, without its line end, which an editor may have changed. Empty lines do not count."""
        if text:
            self._count += 1
            self._digest.update(text + b"\n")

    def fault(self, end: EndLine) -> str | None:
        """What is wrong with the lines since the start or the last `fault`; None if nothing is."""
        complete = (end["count"], end["sha256"]) == (self._count, self._digest.hexdigest())
        count = self._count
        self._reset()
        if complete:
            return None
        return f"the {count} lines before are not the {end['count']} that were exported: some were changed or removed"

    def _reset(self) -> None:
        self._count, self._digest = 0, hashlib.sha256()


def _cell(name: str, value: Any) -> str:
    text = value if isinstance(value, str) and name not in JSON else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
