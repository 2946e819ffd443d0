"""Files of events, read lazily: one message per line in FILE.jsonl, one per row in FILE.csv.

A message without a messageId gets one made from its content and the number of times that the file held this content
before. So a file may be imported again, even after lines were added anywhere, and each event is stored once; two equal
lines are both kept. Equal lines of two files are one event; to keep both, make them differ, preferably by a messageId.
Each line without a messageId takes eight bytes of memory.

The columns of a CSV file are the fields of a message. `data` and `metadata` hold JSON; or a column holds one of their
members, like `data.name` or `data.address.city`. In such a column a number, true, false, null and a JSON string, list
or object are JSON, and everything else is text; text that looks like a number needs double quotes inside the cell:
`"0815"`. An empty cell is left out.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Any, Final

import orjson

from eventscope.errors import BadInput
from eventscope.exporters import form
from eventscope.store.values import json_text
from eventscope.store.values.message import Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.messages.envelope import EXPORTED
from eventscope.subscriptions.messages.json_body import MOST_EXPORTED_BYTES
from eventscope.subscriptions.messages.parse import EVENT_MEMBERS, parse_message
from eventscope.subscriptions.publish.protocol import EventMessage

NESTED: Final = ("data", "metadata")
# no longer than the digits that a JSON number keeps: 18 of an integer, 15 of others
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17}|(?=[0-9.]{1,16}$)(0|[1-9][0-9]*)\.[0-9]+)")

LONGEST: Final = 2 * MOST_EXPORTED_BYTES  # bytes of a line, since text may be escaped
INTEGER: Final = re.compile(r"-?[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class MessageLine:
    """A line of a file that holds a message; `number` is that of its first line, if it has several."""

    number: int
    message: EventMessage
    exported: bool = False
    """Whether it is an exported event, to be sent in the envelope for exported events."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that holds no message, and why."""

    number: int
    reason: str


Items = Generator[MessageLine | BadLine, None, None]


class _Bad(Exception):
    """What is wrong with a line."""


def count(path: str) -> int:
    """The number of lines in the file. BadInput when it cannot be read."""
    last = b"\n"
    lines = 0
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def read_jsonl(path: str) -> Items:
    """The messages of a file with one JSON object per line; empty lines are skipped. BadInput if unreadable."""
    ids, check = _MessageIds(), form.EndCheck()
    with open_file(path) as file:
        for number, raw in enumerate(lines_of(file), 1):
            text = form.strip_line(number, raw)
            if (end := form.parse_end(text)) is not None:
                if (fault := check.fault(end)) is not None:
                    yield BadLine(number, fault)
                continue
            check.add(text)
            if len(raw) > LONGEST and not raw.endswith(b"\n"):
                yield BadLine(number, f"the line has over {LONGEST} bytes, more than any message")
            elif text:
                try:
                    line = _line(number, text)
                    yield line if line.exported else MessageLine(number, ids.add_to(line.message))
                except _Bad as bad:
                    yield BadLine(number, str(bad))


def read_csv(path: str) -> Items:
    """The messages of a file with a row of column names, then one message per row. BadInput for an unknown column."""
    ids = _MessageIds()
    csv.field_size_limit(LONGEST)
    with open_file(path) as binary:
        # a line that is not UTF-8 becomes a bad line, and the rest is read
        rows = csv.reader(_text(binary), strict=True)
        columns = _columns(path, rows)
        is_export = tuple(columns) == form.COLUMNS
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows)
                if row and is_export:
                    yield _exported(number, _of_row(row))
                elif row:
                    yield MessageLine(number, ids.add_to(_checked(_json(_message(columns, row)))))
            except StopIteration:
                return
            except (csv.Error, _Bad) as bad:
                yield BadLine(number, str(bad))


class _MessageIds:
    """Adds ids to messages that have none."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add_to(self, message: EventMessage) -> EventMessage:
        if message.get("messageId") not in (None, ""):
            return message
        content = hashlib.sha256(orjson.dumps(message, option=orjson.OPT_SORT_KEYS)).digest()
        # eight bytes are enough: contents that share them get different numbers, but the same ones in each import
        key = int.from_bytes(content[:8])
        self._counts[key] += 1
        return {**message, "messageId": f"file:{content.hex()[:32]}:{self._counts[key]}"}


def open_file(path: str) -> IO[bytes]:
    """The file, open for reading. BadInput when it cannot be read."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", "source") from None


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of the file; a line over LONGEST bytes is cut to LONGEST + 1 bytes."""
    while line := file.readline(LONGEST + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST)
        yield line


def _text(file: IO[bytes]) -> Iterator[str]:
    for number, line in enumerate(file):
        text = line.decode(errors="surrogateescape")
        yield text.removeprefix("\ufeff") if number == 0 else text


def _checked(raw: bytes) -> EventMessage:
    """The message, if the ingester would accept it."""
    parsed = parse_message(Arrival("", {}, raw, 0, 0), "", None)
    if isinstance(parsed, RejectedMessage):
        raise _Bad(parsed.reason)
    if isinstance(parsed, MessageGroup):
        raise _Bad("the line holds a list of events; write each on a line of its own")
    message: EventMessage = orjson.loads(raw)
    return message


def _line(number: int, raw: bytes) -> MessageLine:
    if b'"cursor"' in raw and b'"recordedAt"' in raw:  # otherwise it need not be parsed twice
        with suppress(json_text.Fault):  # the fault is reported below
            if form.is_record(content := json_text.loads(raw)):
                return _exported(number, content)
    return MessageLine(number, _checked(raw))


def _exported(number: int, content: dict[str, Any]) -> MessageLine:
    message = form.message(content)
    parsed = parse_message(Arrival("", EXPORTED, _json(message), 0, 0), "", None)
    if isinstance(parsed, RejectedMessage):
        raise _Bad(parsed.reason)
    return MessageLine(number, message, exported=True)


def _of_row(row: Sequence[str]) -> dict[str, Any]:
    try:
        return form.parse_row(row)
    except ValueError as error:
        raise _Bad(f"the row is not as it was exported: {error}") from None


def _json(message: EventMessage) -> bytes:
    try:
        return json_text.dumps(message)
    except json_text.Fault as fault:
        raise _Bad(f"the row cannot be JSON: {fault}") from None


def _columns(path: str, rows: Iterator[list[str]]) -> list[str]:
    try:
        columns = [column.strip() for column in next(rows, [])]
    except csv.Error as error:
        raise BadInput(f"{path} has no row of column names: {error}", "source") from None
    if tuple(columns) == form.COLUMNS:
        return columns
    for column in columns:
        first, dot, rest = column.partition(".")
        if not (column in EVENT_MEMBERS or (first in NESTED and dot and all(rest.split(".")))):
            close = get_close_matches(column, EVENT_MEMBERS, n=1)
            fields = ", ".join(sorted(EVENT_MEMBERS))
            hint = f"did you mean {close[0]}?" if close else f"the fields are {fields} and data.NAME"
            raise BadInput(f"{path}: the column {column[:60]!r} is not a field of an event; {hint}", "source")
        if columns.count(column) > 1:
            raise BadInput(f"{path}: the column {column[:60]!r} occurs twice", "source")
    if "type" not in columns:
        raise BadInput(f"{path} has no column named type", "source")
    return columns


def _message(columns: Sequence[str], row: Sequence[str]) -> EventMessage:
    if len(row) != len(columns):
        raise _Bad(f"the row has {len(row)} cells, and the header {len(columns)}")
    message: EventMessage = {}
    # data before data.name
    for column, cell in sorted(zip(columns, row, strict=True), key=lambda pair: pair[0].count(".")):
        if cell == "":
            continue
        if column in NESTED:
            message[column] = _parsed(column, cell)
        elif column == "version" and INTEGER.fullmatch(cell):
            message[column] = int(cell)
        elif "." in column:
            _put(message, column, _value(column, cell))
        else:
            message[column] = cell
    return message


def _put(message: EventMessage, column: str, value: Any) -> None:
    *path, last = column.split(".")
    parent = message
    for name in path:
        parent = parent.setdefault(name, {})
        if not isinstance(parent, dict):
            raise _Bad(f"{column} cannot be set, since {name} has a value that is not an object")
    if last in parent:
        raise _Bad(f"{column} is given twice")
    parent[last] = value


def _value(column: str, cell: str) -> Any:
    text = cell.strip()
    if NUMBER.fullmatch(text) or text in ("true", "false", "null") or text[:1] + text[-1:] in ('""', "{}", "[]"):
        try:
            return json_text.loads(_bytes(text))
        except json_text.Fault as fault:
            if fault.code != "INVALID_JSON":
                raise _bad(column, fault) from None
    return cell


def _parsed(column: str, text: str) -> Any:
    try:
        return json_text.loads(_bytes(text))
    except json_text.Fault as fault:
        raise _bad(column, fault) from None


def _bad(column: str, fault: json_text.Fault) -> _Bad:
    return _Bad(f"{column} is not JSON: {fault}" if fault.code == "INVALID_JSON" else f"{column}: {fault}")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
