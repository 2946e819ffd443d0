"""The form in which events leave for files, one a line or a row, and what is sent when they come back. No I/O.

It has all that is in an event by its own name, and the place in the log that it was taken from, which means nothing in
another log: `position`, `cursor` and `recordedAt`. By these three a line of an export is told from a message.
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

PLACE: Final = ("position", "cursor", "recordedAt")
NAMES: Final[Mapping[str, str]] = {member: field for field, member in event.NAMES.items()}
COLUMNS: Final = tuple(NAMES)
JSON: Final = ("data", "metadata", "extensions")
INTEGERS: Final = ("position", "version", "claimedVersion")
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")  # what a spreadsheet would take a cell for that begins so
END: Final = "end"
LAST: Final = b'{"end":'  # begins the last line
BOM: Final = b"\xef\xbb\xbf"


def record(event: Event) -> dict[str, Any]:
    """The event by the names of its members; what it has not is left out."""
    return {name: value for name, own in NAMES.items() if (value := getattr(event, own)) is not None}


def line(event: Event) -> bytes:
    """The event as a line of JSON."""
    return orjson.dumps(record(event), option=ENCODING | orjson.OPT_APPEND_NEWLINE)


def end_line(cursor: str | None, count: int, sha256: str) -> bytes:
    """The last line of a file: one without it was cut off. `sha256` is that of all lines before it."""
    end = {"cursor": cursor, "count": count, "sha256": sha256}
    return orjson.dumps({END: end}, option=orjson.OPT_APPEND_NEWLINE)


def header_row() -> bytes:
    """The row of column names."""
    return _row(COLUMNS)


def row(event: Event) -> bytes:
    """The event as a row. JSON is in one cell, and no cell is a formula."""
    members = orjson.loads(line(event))
    return _row([_cell(name, members[name]) if name in members else "" for name in COLUMNS])


def is_record(content: object) -> bool:
    """Whether this is a line of an export, and no message that somebody wrote."""
    return (
        isinstance(content, dict)
        and content.keys() <= NAMES.keys()
        and all(name in content for name in ("messageId", "type", *PLACE))
    )


def of_row(cells: Sequence[str]) -> dict[str, Any]:
    """The members of a row that `row` wrote. ValueError when one of its cells is not what it should be."""
    found: dict[str, Any] = {}
    for name, cell in zip(COLUMNS, cells, strict=True):
        text = cell[1:] if cell.startswith("'") else cell
        if text:
            found[name] = orjson.loads(text) if name in JSON or name in INTEGERS else text
    return found


def message(content: Mapping[str, Any]) -> EventMessage:
    """What is sent to a log for a line of an export, in the envelope `exported`.

    The version is a claim: a log gives its own, and they are the same where it has all events of the aggregate.
    """
    sent = {name: value for name, value in content.items() if name not in (*PLACE, "claimedVersion")}
    claimed = content.get("claimedVersion", content.get("version"))
    return sent if claimed is None else {**sent, "version": claimed}


class End(TypedDict):
    """What the last line of an export says."""

    cursor: str | None
    count: int
    sha256: str


def end(text: bytes) -> End | None:
    """What the line says, if it is the last one of an export, and no message that somebody wrote."""
    if not text.startswith(LAST):
        return None
    try:
        found = orjson.loads(text)
        said = found[END]
        is_end = len(found) == 1 and type(said["count"]) is int and type(said["sha256"]) is str
    except (ValueError, TypeError, KeyError):
        return None
    return cast("End", said) if is_end else None


def stripped(number: int, raw: bytes) -> bytes:
    """The line with that number, from 1, without its end, and without the byte order mark that may begin a file."""
    return (raw.removeprefix(BOM) if number == 1 else raw).strip()


class Ending:
    """Looks whether what was exported is all there, by the line at its end."""

    def __init__(self) -> None:
        self._begin()

    def add(self, text: bytes) -> None:
        """Count a line, given without what ends it: an editor may have changed that. An empty one is none."""
        if text:
            self._count += 1
            self._digest.update(text + b"\n")

    def fault(self, end: End) -> str | None:
        """What is wrong with the lines since the beginning, or since the last end; None when nothing is."""
        whole = (end["count"], end["sha256"]) == (self._count, self._digest.hexdigest())
        count = self._count
        self._begin()
        if whole:
            return None
        return f"the {count} lines before are not the {end['count']} that were exported: some were changed or are gone"

    def _begin(self) -> None:
        self._count, self._digest = 0, hashlib.sha256()


def _cell(name: str, value: Any) -> str:
    text = value if isinstance(value, str) and name not in JSON else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA) else text


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
