"""An export that was changed or truncated is detected before any of it is published."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eventscope.client import event
from eventscope.errors import BadInput
from eventscope.exporters import form
from eventscope.importers.export_check import check
from eventscope.importers.run import open_source
from eventscope.store.values import moment

AT = moment.to_datetime(moment.from_text("2026-03-02T00:00:00Z"))
FIRST = event.Event(
    id='m"\\', position=7, cursor="e7", type="user.created", timestamp=AT, recorded_at=AT, data={"n": "}"}
)
EVENTS = [form.line(replace(FIRST, position=position)) for position in (7, 9, 12)]
END = form.end_line("ec", 3, hashlib.sha256(b"".join(EVENTS)).hexdigest())
WHOLE = [*EVENTS, END]

Change = Callable[[list[bytes]], list[bytes]]


def written(folder: Path, lines: list[bytes]) -> str:
    file = folder / "events.jsonl"
    file.write_bytes(b"".join(lines))
    return str(file)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines,
        lambda lines: lines * 2,
        lambda lines: [b'{"type":"a"}\n', b"no json\n", lines[0]],  # no export ends here
        lambda lines: [],
        # as editors and mail programs leave it
        lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
        lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
        lambda lines: [*lines, b"\n", *lines],
        lambda lines: [*lines[:-1], lines[-1].rstrip()],
        # messages that somebody wrote
        lambda lines: [b'{"end":"2026-01-01","type":"shift.ended"}\n', b'{"type":"a"}\n'],
        lambda lines: [b'{"end":{"count":"1","sha256":""},"type":"a"}\n'],
        lambda lines: [b'{"messageId":"p1","position":5,"type":"a"}\n'],
        lambda lines: [b'{"messageId":"p1","position":%s,"type":"a"}\n' % (b"1" * 5000)],
    ],
)
def test_the_lines_of_an_unchanged_export_or_of_any_other_file_are_counted(change: Change, tmp_path: Path) -> None:
    lines = change(WHOLE)
    assert check(written(tmp_path, lines)) == (len(lines), "")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[:1],
        lambda lines: [*lines[:-1], lines[-1][:5]],
        lambda lines: [*lines[:2], lines[2][:-9]],
        lambda lines: [*lines, *lines[:2]],  # the second of two exports in one file
    ],
)
def test_a_truncated_export_is_reported_with_its_end_before_anything_is_published(
    change: Change, tmp_path: Path
) -> None:
    lines = change(WHOLE)
    path = written(tmp_path, lines)
    assert check(path)[0] == len(lines)
    assert open_source(path).note.startswith(f"events.jsonl:{len(lines)}: this export ends without its last line")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: [one[0], one[1][:-9] + b"\n", *one[2:]], "events.jsonl:2: this line is not as it was exported; "),
        (lambda one: [b'{"type":"a"}\n', *one], "events.jsonl:1: this line is not as it was exported; "),
        (lambda one: [one[1], one[0], *one[2:]], "events.jsonl:2: position 7 comes after 9; "),
        (lambda one: [one[0], *one], "events.jsonl:2: position 7 comes after 7; "),
        (lambda one: [one[0], *one[2:]], "events.jsonl:3: the 2 lines before are not the 3 that were exported"),
        (lambda one: [one[0].replace(b"user", b"uzer"), *one[1:]], "events.jsonl:4: the 3 lines before are not the 3"),
        (lambda one: [*one, *one[1:]], "events.jsonl:7: the 2 lines before are not the 3"),
        (lambda one: [b"x\n"] * 9 + one, ":5: this line is not as it was exported; and more; events.jsonl:13"),
    ],
)
def test_nothing_of_a_changed_export_is_imported_and_the_lines_are_named(
    change: Change, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as refused:
        open_source(written(tmp_path, change(WHOLE)))
    assert said in str(refused.value)
    assert str(refused.value).endswith(". Nothing was imported")
