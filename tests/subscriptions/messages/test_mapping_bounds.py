"""No mapping can lose a part of a message, accept what does not fit, or multiply what a message costs."""

import itertools
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventscope import envelopes
from eventscope.store.values.message import Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.ingest.portions import stored_bytes
from eventscope.subscriptions.messages.mapping import Mapper
from eventscope.subscriptions.messages.parse import parse_message
from tests.subscriptions.support import mapped_messages


class _Counted(dict[str, str]):
    """Headers that count how often they were iterated."""

    times = 0

    def items(self) -> Any:
        self.times += 1
        return super().items()


def test_the_headers_are_examined_once_however_many_events_and_sources_there_are() -> None:
    names = ("userId", "correlationId", "causationId", "aggregateId", "metadata.a", "metadata.b")
    mapper = Mapper(envelopes.mapping({name: ["none", {"header": f"X-{name}"}] for name in names}))
    headers = _Counted({f"x-{name}": name for name in names})
    message = parse_message(Arrival("events.a.b", headers, b"[{},{},{}]", 5, 1), "EVENTS", "a.b", mapper)
    assert isinstance(message, MessageGroup)
    assert [one.fields["metadata"] for one in message.messages] == [{"a": "metadata.a", "b": "metadata.b"}] * 3
    assert headers.times == 1


class _Read(str):
    """A text that counts how often it was read as a number."""

    __slots__ = ("times",)

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        self.times = getattr(self, "times", 0) + 1
        return super().encode(encoding, errors)


def test_a_header_is_converted_once_for_all_events_of_a_message() -> None:
    number = _Read("1")
    message = mapped_messages.open_message({"data": {"header": "X", "as": "number"}}, [{}] * 5, X=number)
    assert [one.fields["data"] for one in message.messages] == [1] * 5
    assert number.times == 1


@pytest.mark.parametrize(("events", "code"), [(1, None), (40, None), (41, "TOO_LARGE"), (1000, "TOO_LARGE")])
def test_many_events_cannot_multiply_one_header_without_limit(events: int, code: str | None) -> None:
    message = mapped_messages.open_message({"data": {"header": "X"}}, [{}] * events, X="x" * 100 * 1024)
    assert getattr(message, "code", None) == code
    if code is None:
        assert stored_bytes(message) > events * 100 * 1024


@pytest.mark.parametrize(
    ("mapping", "content", "code", "parts"),
    [
        ({"userId": "meta.user"}, {"meta": {"user": {"id": 7}}}, "INVALID_FIELD", ("userId", "meta.user", '{"id":7}')),
        ({"userId": "u"}, {"u": 1.5}, "INVALID_FIELD", ("userId", "u, which is 1.5")),
        ({"timestamp": "meta.at"}, {"meta": {"at": "noon"}}, "INVALID_TIMESTAMP", ("timestamp", "meta.at", "noon")),
        ({"timestamp": "ts"}, {"ts": 1700000000}, "INVALID_TIMESTAMP", ("ts, which is 1700000000",)),
        (
            {"timestamp": {"path": "ts", "as": "seconds"}},
            {"ts": 1700000000000},
            "INVALID_TIMESTAMP",
            ("ts, and 1700000000000 is not a time within the years 1 to 9999: is it in another unit?",),
        ),
        ({"type": "kind"}, {"kind": "a b"}, "INVALID_TYPE", ("kind",)),
        ({"userId": {"header": "X-User"}}, {}, "INVALID_FIELD", ("the header X-User",)),
    ],
)
def test_an_unusable_value_is_refused_with_its_member_place_and_text(
    mapping: Any, content: Any, code: str, parts: tuple[str, ...]
) -> None:
    message = mapped_messages.open_message(
        {**mapping, "messageId": "id"}, {**content, "id": "m"}, **{"X-User": "x" * 2000}
    )
    assert isinstance(message, RejectedMessage)
    assert (message.code, message.id) == (code, "m")
    assert [part for part in parts if part not in message.reason] == []
    assert len(message.reason) < 250


def test_a_type_that_neither_the_mapping_nor_the_subject_names_is_missing() -> None:
    message = parse_message(
        Arrival("events", {}, b"{}", 5, 1), "EVENTS", None, Mapper(envelopes.mapping({"type": "kind"}))
    )
    assert isinstance(message, RejectedMessage)
    assert message.code == "MISSING_TYPE"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "INVALID_JSON"),
        (b"5", "NOT_AN_OBJECT"),
        (b'{"a\\u0000": 1}', "INVALID_KEY"),
        (b'{"n": 9223372036854775808}', "INTEGER_TOO_LARGE"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "TOO_DEEP"),
        (b'"' + b"x" * 1024 * 1024 + b'"', "TOO_LARGE"),
    ],
)
def test_a_mapped_message_has_the_limits_of_any_message(raw: bytes, code: str) -> None:
    assert mapped_messages.open_message({"data": ""}, raw).code == code


KEYS = st.sampled_from("abcd")
TREES: st.SearchStrategy[Any] = st.recursive(
    st.just(None), lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=2), max_leaves=12
)
PATHS = st.lists(KEYS | st.sampled_from("01"), max_size=3).map(lambda keys: {"path": keys})
SOURCES = PATHS | st.lists(PATHS, min_size=1, max_size=3)
MAPPINGS = st.dictionaries(
    st.sampled_from(["data", "metadata", "metadata.a", "metadata.e"]), SOURCES
) | st.dictionaries(st.sampled_from([*envelopes.TEXTS[3:], "messageId", "data", "metadata.b"]), SOURCES)


def _with_leaves(tree: Any, names: Iterator[str]) -> Any:
    if isinstance(tree, dict):
        return {key: _with_leaves(value, names) for key, value in tree.items()}
    return [_with_leaves(value, names) for value in tree] if isinstance(tree, list) else next(names)


def _leaves(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(value)
    else:
        yield tree


def _is_part(part: Any, whole: Any) -> bool:
    if not isinstance(part, dict):
        return bool(part == whole)
    return isinstance(whole, dict) and all(key in whole and _is_part(part[key], whole[key]) for key in part)


@given(st.dictionaries(KEYS, TREES), MAPPINGS)
def test_every_leaf_of_a_message_is_kept_in_the_event(tree: dict[str, Any], mapping: dict[str, Any]) -> None:
    content = _with_leaves(tree, (f"leaf{n}" for n in itertools.count()))
    message = mapped_messages.open_message(mapping, content)
    if isinstance(message, RejectedMessage):  # an object cannot be added to a member that is a text
        assert message.code == "INVALID_FIELD"
        return
    fields = {name: value for name, value in message.fields.items() if name != "timestamp"}
    assert set(_leaves(content)) <= set(_leaves(fields))
    extensions = fields.get("extensions", {})
    assert _is_part(extensions, content)
    # and nothing but what was not taken is left there, except in lists
    members = {name: value for name, value in fields.items() if name != "extensions"}
    if not any("[" in orjson.dumps(value).decode() for value in content.values()):
        assert not set(_leaves(extensions)) & set(_leaves(members))
