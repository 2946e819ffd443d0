"""`EVENTSCOPE_ENVELOPES`: every mistake is reported at the start with the variable, the place and what is allowed."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from eventscope import envelopes
from eventscope.envelopes import Constant, EnvelopeMapping, FromHeader, FromMessage, FromSubject, MemberSource
from eventscope.errors import CannotStart
from eventscope.settings import Settings, load

EVERYTHING = {
    "messageId": "meta.eventId",
    "metadata.tenant": {"header": "X-Tenant"},
    "metadata": "context",
    "aggregateType": {"subject": 2},
    "aggregateId": [{"path": ["a.b", "c"]}, {"subject": "3-"}],
    "timestamp": {"path": "meta.ts", "as": "milliseconds"},
    "userId": {"constant": 7},
}


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Any:
    def with_value(value: str) -> Settings:
        monkeypatch.setenv("EVENTSCOPE_ENVELOPES", value)
        return load()

    return with_value


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def test_the_metadata_of_a_mapping_comes_before_what_is_added_to_it(start: Any) -> None:
    setting = start(_text({"orders.>": EVERYTHING, "*": "plain"})).envelopes
    assert setting == {
        "orders.>": EnvelopeMapping(
            (
                ("messageId", (MemberSource(FromMessage(("meta", "eventId")), None, "meta.eventId"),)),
                ("metadata", (MemberSource(FromMessage(("context",)), None, "context"),)),
                ("aggregateType", (MemberSource(FromSubject(((2, 2),)), None, "the subject's words 2"),)),
                (
                    "aggregateId",
                    (
                        MemberSource(FromMessage(("a.b", "c")), None, "a.b.c"),
                        MemberSource(FromSubject(((3, None),)), None, 'the subject\'s words "3-"'),
                    ),
                ),
                ("timestamp", (MemberSource(FromMessage(("meta", "ts")), "milliseconds", "meta.ts"),)),
                ("userId", (MemberSource(Constant(7), None, "a constant"),)),
                ("metadata.tenant", (MemberSource(FromHeader("X-Tenant"), None, "the header X-Tenant"),)),
            )
        ),
        "*": "plain",
    }


def test_a_value_that_does_not_begin_with_a_brace_is_a_file(start: Any, tmp_path: Path) -> None:
    setting = {"orders.>": EVERYTHING, "*": "nestjs"}
    file = tmp_path / "envelopes.json"
    file.write_text(_text(setting))
    assert start(str(file)).envelopes == start(f"  {_text(setting)}").envelopes == envelopes.setting(setting)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"\xff", "cannot be read (not a text in UTF-8)"),
        (b"{", "in that file: it is not JSON: Expecting"),
        (b"[]", "give an object by subject pattern"),
        (b'{"a.>": {"tpye": "x"}}', "a.>: 'tpye' is not a member of an event; did you mean type?"),
    ],
)
def test_a_mistake_in_a_file_is_reported_with_its_path(
    start: Any, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = tmp_path / "envelopes.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CannotStart) as stopped:
        start(str(file))
    assert str(stopped.value).startswith(f"EVENTSCOPE_ENVELOPES is {str(file)!r}: ")
    assert reason in str(stopped.value)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ('{"a": "plain", "a": "nestjs"}', "'a' is given twice"),
        ('{"a": {"data": {"constant": NaN}}}', "NaN is not JSON"),
        ('{"a": {"data": "x", "data": "y"}}', "'data' is given twice"),
        ("", "give JSON that begins with {, or the path of a JSON file"),
        ({"a b": "plain"}, "'a b' is not a pattern of subjects"),
        ({"a.>.b": "plain"}, "'a.>.b' is not a pattern of subjects"),
        ({"": "plain"}, "'' is not a pattern of subjects"),
        ({"a": "cloudevent"}, "a: 'cloudevent' is not an envelope; did you mean cloudevents?"),
        ({"a": "soap"}, "a: 'soap' is not an envelope; give plain, cloudevents or nestjs, or a mapping"),
        ({"a": 5}, "a is 5 and not an object"),
        ({"a": {"agregateId": "x"}}, "a: 'agregateId' is not a member of an event; did you mean aggregateId?"),
        ({"a": {"MESSAGEID": "x"}}, "did you mean messageId?"),
        ({"a": {"metadata.": "x"}}, "a: 'metadata.' is not metadata. followed by one name"),
        ({"a": {"metadata.b.c": "x"}}, "a: 'metadata.b.c' is not metadata. followed by one name"),
        ({"a": {"type": 5}}, "a: type is 5 and not a source"),
        ({"a": {"type": None}}, "a: type is null and not a source"),
        ({"a": {"type": []}}, "a: type is a list without sources"),
        ({"a": {"type": ["x", 5]}}, "a: type[1] is 5 and not a source"),
        ({"a": {"type": {}}}, "a: type must have one of path, header, subject, constant, and has none"),
        ({"a": {"type": {"path": "x", "header": "y"}}}, "and has path and header"),
        ({"a": {"type": {"haeder": "x"}}}, "a: type: 'haeder' is none of path, header, subject, constant and as"),
        ({"a": {"type": {"haeder": "x"}}}, "did you mean header?"),
        ({"a": {"type": "x..y"}}, "a: type: the path 'x..y' has an empty key"),
        ({"a": {"type": {"path": 5}}}, "a: type: the path is 5 and neither"),
        ({"a": {"type": {"path": ["x", 5]}}}, "and neither a text like meta.id nor a list of keys"),
        ({"a": {"type": {"header": ""}}}, 'a: type: the header is "" and not a name'),
        ({"a": {"type": {"subject": 0}}}, "a: type: 0 is not a word of the subject"),
        ({"a": {"type": {"subject": True}}}, "a: type: True is not a word of the subject"),
        ({"a": {"type": {"subject": -1}}}, "a: type: -1 is not a word of the subject"),
        ({"a": {"type": {"subject": []}}}, "a: type: [] is not a word of the subject"),
        ({"a": {"type": {"subject": [2, "x"]}}}, "a: type: 'x' is not a word of the subject"),
        ({"a": {"type": {"subject": "3-2"}}}, "a: type: the range of words '3-2' ends before it begins"),
        ({"a": {"timestamp": {"path": "x", "as": "second"}}}, "'second' is not a conversion; did you mean seconds?"),
        ({"a": {"timestamp": {"path": "x", "as": None}}}, "None is not a conversion"),
        ({"a": {"timestamp": {"path": "x", "as": ["seconds"]}}}, "['seconds'] is not a conversion"),
        ({"a": {"userId": {"path": "x", "as": "seconds"}}}, "a: userId: a time in seconds is only for timestamp"),
        ({"a": {"userId": {"constant": 1.5}}}, "a: userId: the constant is 1.5, which userId cannot be"),
        ({"a": {"type": {"constant": 5}}}, "a: type: the constant is 5, which type cannot be"),
        ({"a": {"type": {"constant": ""}}}, 'a: type: the constant is "", which type cannot be'),
        ({"a": {"version": {"constant": 0}}}, "a: version: the constant is 0, which version cannot be"),
        ({"a": {"data": {"constant": None}}}, "a: data: the constant is null, which data cannot be"),
    ],
)
def test_a_mistake_is_reported_with_its_place(start: Any, setting: Any, reason: str) -> None:
    text = setting if isinstance(setting, str) else _text(setting)
    with pytest.raises(CannotStart) as stopped:
        start(text)
    assert str(stopped.value).startswith(f"EVENTSCOPE_ENVELOPES is {text!r}: ")
    assert reason in str(stopped.value)


def test_json_that_is_nested_too_deeply_is_a_mistake_too(start: Any) -> None:
    with pytest.raises(CannotStart, match="nested too deeply"):
        start('{"a":' * 100_000)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ({"orders.>": "plain"}, True),
        ({"orders.>": {"type": "kind"}}, True),
        ({"orders.>": {}}, True),
        ({}, True),
        ({"orders.>": "nest"}, True),
        ({"orders.placed": "nest"}, True),
        ({"orders.*.placed": 5}, True),
        ({"users": "plain"}, True),
        ({"orders.>": {"path": "kind"}}, True),
        ({"type": "plain"}, False),
        ({"data": "body", "metadata.*": "x"}, False),
        ({"typ": "kind"}, False),
        ({"timestamp": {"pth": "ts"}}, False),
        ({"type": "kind"}, False),
        ({"agregateId": {"subject": 2}, "type": "kind"}, False),
        ({"data": ["a", "b"]}, False),
        ([], False),
    ],
)
def test_a_whole_setting_is_distinguished_from_a_mapping(value: Any, whole: bool) -> None:
    assert envelopes.is_setting(value) == whole


@pytest.mark.parametrize(
    ("constant", "reason"),
    [
        (r'"\ud800"', "contains half of a character"),
        ("1e400", "the number 1e400 is beyond"),
        ("1e-999999999", "would be changed to 0.0"),
        ("123456789012345.6789", "would be changed to 123456789012345.67"),
        ("9" * 20, "does not fit into 64 bits"),
        ("9" * 5000, "does not fit into 64 bits"),
        (r'{"a\u0000": 1}', "with a NUL"),
        ("[" * 120 + "]" * 120, "nested over 99 deep"),
    ],
)
def test_a_constant_must_be_a_value_that_a_message_could_contain(start: Any, constant: str, reason: str) -> None:
    for value in (constant, f'{{"x": {constant}}}'):
        with pytest.raises(CannotStart) as stopped:
            start(f'{{"a.>": {{"data": {{"constant": {value}}}}}}}')
        assert "EVENTSCOPE_ENVELOPES" in str(stopped.value)
        assert "a.>: data: " in str(stopped.value)
        assert reason in str(stopped.value)
