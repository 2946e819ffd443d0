"""Files of events: what a line or a row becomes."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.errors import BadInput
from eventscope.importers.files import LONGEST, BadLine, Items, MessageLine, count, read_csv, read_jsonl
from eventscope.subscriptions.messages.json_body import MOST_BYTES


class Folder:
    """Writes a file and reads it as events."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def jsonl(self, content: bytes | str) -> list[MessageLine | BadLine]:
        return list(read_jsonl(self.write("events.jsonl", content)))

    def csv(self, content: bytes | str) -> list[MessageLine | BadLine]:
        return list(read_csv(self.write("events.csv", content)))

    def write(self, name: str, content: bytes | str) -> str:
        (self.path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(self.path / name)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def messages(items: list[MessageLine | BadLine]) -> list[dict[str, Any]]:
    """The messages, without their generated ids."""
    assert all(isinstance(item, MessageLine) for item in items), items
    return [
        {name: value for name, value in item.message.items() if not str(value).startswith("file:")}
        for item in items
        if isinstance(item, MessageLine)
    ]


def ids(items: list[MessageLine | BadLine]) -> list[str]:
    return [item.message["messageId"] for item in items if isinstance(item, MessageLine)]


def test_each_line_becomes_a_message(folder: Folder) -> None:
    full = {
        "type": "user.created",
        "messageId": "m1",
        "timestamp": "2026-11-23T07:00:00Z",
        "aggregateType": "user",
        "aggregateId": "u1",
        "version": 1,
        "userId": "u0",
        "correlationId": "c",
        "causationId": "b",
        "data": {"name": "Zoë"},
        "metadata": {"ip": "192.0.2.1"},
    }
    assert folder.jsonl(orjson.dumps(full) + b"\r\n\n" + b'{"type": "tick", "messageId": "m2"}') == [
        MessageLine(1, full),
        MessageLine(3, {"type": "tick", "messageId": "m2"}),
    ]


def test_a_version_is_imported_as_the_file_states_it(folder: Folder) -> None:
    rows = ["tick,1", "tick,-3", "tick,0", "tick,2.1", "tick,v4", "tick,"]
    found = [message.get("version") for message in messages(folder.csv("\n".join(["type,version", *rows])))]
    assert found == [1, -3, 0, "2.1", "v4", None]
    lines = b'{"type": "tick", "version": 0}\n{"type": "tick", "version": {"of": "schema"}}'
    assert [message["version"] for message in messages(folder.jsonl(lines))] == [0, {"of": "schema"}]


def test_a_byte_order_mark_before_the_first_line_does_not_matter(folder: Folder) -> None:
    assert messages(folder.jsonl(b'\xef\xbb\xbf{"type": "tick"}\n')) == [{"type": "tick"}]
    assert messages(folder.csv(b"\xef\xbb\xbftype\ntick\n")) == [{"type": "tick"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "the message is not JSON"),
        (b'{"type": "caf\xe9"}', "the message is not JSON"),
        (b"[1]", "not an object"),
        (b"{}", "neither the message nor its subject names a type"),
        (b'{"type": "two words"}', "is not words joined by dots"),
        (b'{"type": "t", "timestamp": "yesterday"}', "is not a time"),
        (b'{"type": "t", "data": 123456789012345678901234567890}', "does not fit into 64 bits"),
        (b'{"type": "t", "data": 123456789012345.6789}', "would be changed to 123456789012345.67"),
        (b'{"type": "t", "data": 1e999}', "the number 1e999 at data is beyond"),
        (b'{"type": "t", "data": {"a": 1, "a": 2}}', "the key 'a' at data is given more than once"),
        (b'{"type": "t", "data": "' + b"x" * MOST_BYTES + b'"}', "at most 1048576 are allowed"),
        (b'{"type": "t", "data": "' + b"x" * LONGEST + b'"}', f"has over {LONGEST} bytes"),
        (b'{"type": "t", "data": ' + b"[" * 200 + b"]" * 200 + b"}", "nested more than 100 levels deep"),
    ],
)
def test_a_bad_line_is_reported_with_its_number_and_reason_and_the_others_are_read(
    folder: Folder, line: bytes, reason: str
) -> None:
    good = b'{"type": "tick", "messageId": "m"}'
    first, bad, last = folder.jsonl(b"\n".join([good, line, good]))

    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert reason in bad.reason
    assert first == MessageLine(1, orjson.loads(good))
    assert last == MessageLine(3, orjson.loads(good))


def test_columns_become_fields_of_a_message(folder: Folder) -> None:
    content = (
        "type,messageId,timestamp,aggregateType,aggregateId,version,userId,data,metadata\n"
        'user.created,m1,2026-11-23T07:00:00Z,user,7,1,u0,"{""name"": ""Zoë, ""}","{""ip"": ""192.0.2.1""}"\n'
        "user.deleted,m2,,user,7,,,,\n"
    )
    assert messages(folder.csv(content)) == [
        {
            "type": "user.created",
            "messageId": "m1",
            "timestamp": "2026-11-23T07:00:00Z",
            "aggregateType": "user",
            "aggregateId": "7",
            "version": 1,
            "userId": "u0",
            "data": {"name": "Zoë, "},
            "metadata": {"ip": "192.0.2.1"},
        },
        {"type": "user.deleted", "messageId": "m2", "aggregateType": "user", "aggregateId": "7"},
    ]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("Zoë", "Zoë"),
        ("12", 12),
        ("-3.50", -3.5),
        ("0815", "0815"),
        ('"""0815"""', "0815"),
        ("+49 30 1", "+49 30 1"),
        ("1e5", "1e5"),
        ("1234567890123456789012", "1234567890123456789012"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("true", True),
        ("null", None),
        ("True", "True"),
        ("NaN", "NaN"),
        ('"[1, ""a""]"', [1, "a"]),
        ('"{""a"": 1}"', {"a": 1}),
        ("{not json}", "{not json}"),
        ('" a "', " a "),
        ('"two\nlines"', "two\nlines"),
    ],
)
def test_a_member_of_data_is_what_its_cell_says(folder: Folder, cell: str, value: Any) -> None:
    assert messages(folder.csv(f"type,data.a.b\ntick,{cell}\n")) == [{"type": "tick", "data": {"a": {"b": value}}}]


def test_member_columns_are_merged_into_the_data_of_a_row(folder: Folder) -> None:
    content = 'data.b,type,data,metadata.who\n2,tick,"{""a"": 1}",me\n\n,tock,,\n'
    assert messages(folder.csv(content)) == [
        {"type": "tick", "data": {"a": 1, "b": 2}, "metadata": {"who": "me"}},
        {"type": "tock"},
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("tick", "the row has 1 cells, and the header 4"),
        ("tick,,,,", "the row has 5 cells, and the header 4"),
        ("tick,{,,", "data is not JSON"),
        ("tick,NaN,,", "data is not JSON: "),
        ("tick," + "[" * 100_000 + ",,", "data: nested too deep"),
        ('tick,"[1]",1,', "data.a cannot be set, since data has a value that is not an object"),
        ('tick,"{""a"": 1}",1,', "data.a is given twice"),
        ("tick,123456789012345678901234567890,,", "data: the integer 1234567890"),
        ('tick,"{""p"": 1e999}",,', "data: the number 1e999 at p is beyond"),
        ('tick,"{""p"": 0.1234567890123456789}",,', "data: the number 0.1234567890123456789 at p would be changed to"),
        ('tick,"[{""p"": 1, ""p"": 2}]",,', "data: the key 'p' at [0] is given more than once"),
        ('tick,,"[1, 1e999]",', "data.a: the number 1e999 at [1] is beyond"),
        (",,,", "neither the message nor its subject names a type"),
        ("tick,,,99999999999999999999", "at version does not fit into 64 bits"),
        ('tick,"a"b,,', "expected after"),
        ("tick,," + "x" * (MOST_BYTES + 1) + ",", "at most 1048576 are allowed"),
        ("tick,," + "x" * (LONGEST + 1) + ",", "field larger than field limit"),
    ],
)
def test_a_bad_row_is_reported_with_its_number_and_reason_and_the_others_are_read(
    folder: Folder, row: str, reason: str
) -> None:
    good = 'tick,"{""two"":\n""lines""}",,'
    first, bad, last = folder.csv(f"type,data,data.a,version\n{good}\n{row}\n{good}\n")

    assert isinstance(bad, BadLine)
    assert bad.number == 4
    assert reason in bad.reason
    assert (first.number, last.number) == (2, 5)
    assert messages([first, last]) == [{"type": "tick", "data": {"two": "lines"}}] * 2


def test_a_row_that_is_not_utf8_is_a_bad_row(folder: Folder) -> None:
    bad, good = folder.csv(b"type,data.name\ntick,caf\xe9\ntick,ok\n")

    assert bad == BadLine(2, "the row cannot be JSON: str is not valid UTF-8: surrogates not allowed at data.name")
    assert messages([good]) == [{"type": "tick", "data": {"name": "ok"}}]


def test_a_quote_that_never_ends_is_reported(folder: Folder) -> None:
    assert folder.csv('type,data.name\ntick,"open\n') == [BadLine(2, "unexpected end of data")]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("type,timestmap", "column 'timestmap' is not a field of an event; did you mean timestamp?"),
        ("type,colour", "column 'colour' is not a field of an event; the fields are aggregateId"),
        ("type,data.", "column 'data.' is not a field of an event"),
        ("type,userId.name", "column 'userId.name' is not a field"),
        ("type,type", "column 'type' occurs twice"),
        ("timestamp,data", "has no column named type"),
        ("", "has no column named type"),
        ('"type', "has no row of column names"),
    ],
)
def test_a_file_with_an_unknown_column_is_refused(folder: Folder, header: str, reason: str) -> None:
    with pytest.raises(BadInput, match=f".*{reason}"):
        folder.csv(header)


@pytest.mark.parametrize("read", [read_jsonl, read_csv, count])
def test_a_missing_file_is_refused(folder: Folder, read: Any) -> None:
    with pytest.raises(BadInput, match=r"missing\.jsonl cannot be read: No such file"):
        list(read(str(folder.path / "missing.jsonl")))


def test_a_message_keeps_its_id_and_one_without_gets_the_same_each_time(folder: Folder) -> None:
    content = '{"type": "tick", "messageId": "mine"}\n{"type": "tick"}\n{"type": "tick", "messageId": ""}\n'
    first, second = folder.jsonl(content), folder.jsonl(content)

    assert first == second
    assert ids(first)[0] == "mine"
    assert len(set(ids(first))) == 3


def test_equal_messages_get_different_ids_however_they_are_written(folder: Folder) -> None:
    lines = folder.jsonl('{"type": "tick", "data": {"a": 1, "b": 2}}\n{"data":{"b":2,"a":1},"type":"tick"}\n')
    rows = folder.csv("type,data.a,data.b\ntick,1,2\n")

    assert ids(lines)[0].removesuffix(":1") == ids(lines)[1].removesuffix(":2")
    assert ids(rows) == ids(lines)[:1]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=4), st.integers(0, 8))
@settings(deadline=None)
def test_a_file_that_grows_anywhere_keeps_its_ids(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], more: list[str], place: int
) -> None:
    folder = Folder(tmp_path_factory.getbasetemp())

    def content(types: list[str]) -> str:
        return "".join(f'{{"type": "{type}"}}\n' for type in types)

    old = ids(folder.jsonl(content(before)))
    new = ids(folder.jsonl(content([*before[:place], *more, *before[place:]])))

    assert set(old) <= set(new)
    assert len(set(new)) == len(before) + len(more)


def test_files_are_read_line_by_line(folder: Folder) -> None:
    items: Items = read_jsonl(folder.write("events.jsonl", b'{"type": "tick"}\n' * 3))

    assert next(items).number == 1
    assert next(items).number == 2
    items.close()


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\n\nb", 3)])
def test_lines_are_counted(folder: Folder, content: bytes, lines: int) -> None:
    assert count(folder.write("events.jsonl", content)) == lines


@pytest.mark.parametrize("list", ['[{"type": "a.b"}]', '[{"type": "a.b"}, {"type": "a.c"}]'])
def test_a_line_that_is_a_list_is_bad_and_the_others_are_imported(folder: Folder, list: str) -> None:
    bad, good = folder.jsonl(f'{list}\n{{"type": "a.b"}}\n')
    assert bad == BadLine(1, "the line holds a list of events; write each on a line of its own")
    assert isinstance(good, MessageLine)
