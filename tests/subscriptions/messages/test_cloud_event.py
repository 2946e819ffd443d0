"""CloudEvents mean the same in the log as on the wire, in structured and in binary mode."""

import base64
from encodings.aliases import aliases
from typing import Any
from urllib.parse import quote

import bson
import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from eventscope.store.values.headers import MessageHeaders
from eventscope.store.values.message import NO_STREAM, AcceptedMessage, Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.messages.cloud_event import ATTRIBUTES, EXPECTED, IN_BASE64
from eventscope.subscriptions.messages.parse import KNOWN, parse_message

# the example of the specification, with the extensions for correlation and auth context
CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "com.example.user.created",
    "source": "/users",
    "subject": "42",
    "id": "A234-1234-1234",
    "time": "2026-11-23T07:00:00.5Z",
    "datacontenttype": "application/json",
    "aggregatetype": "user",
    "correlationid": "c",
    "causationid": "x",
    "authid": "ada",
    "data": {"name": "Ada"},
}
FIELDS = {
    "type": "com.example.user.created",
    "messageId": "/users#A234-1234-1234",
    "aggregateType": "user",
    "aggregateId": "42",
    "correlationId": "c",
    "causationId": "x",
    "userId": "ada",
    "timestamp": 1795417200500000,
    "data": {"name": "Ada"},
}


OF_THE_ENVELOPE = {"specversion": "1.0", "source": "/users", "id": "A234-1234-1234"}
REQUIRED = {"specversion": "1.0", "source": "s", "id": "1", "type": "a.b"}
JSON = {"content-type": "application/json"}


def _read(content: object, **headers: str) -> Any:
    raw = content if isinstance(content, bytes) else orjson.dumps(content)
    return parse_message(Arrival("events.a.b", headers, raw, 5, 1), "EVENTS", "a.b", "cloudevents")


def _binary(raw: bytes, attributes: dict[str, str], **headers: str) -> Any:
    return _read(raw, **{f"ce-{name}": quote(v, safe="/:") for name, v in attributes.items()}, **headers)


def test_a_structured_cloud_event_is_accepted_with_all_its_attributes() -> None:
    message = _read(CLOUD_EVENT)
    extensions = {
        "specversion": "1.0",
        "source": "/users",
        "id": "A234-1234-1234",
        "datacontenttype": "application/json",
    }
    assert message.fields == FIELDS | {"extensions": extensions}


def test_a_binary_cloud_event_is_the_same_event() -> None:
    attributes = {f"ce-{name}": str(v) for name, v in CLOUD_EVENT.items() if name not in ("data", "datacontenttype")}
    message = _read(CLOUD_EVENT["data"], **attributes, **{"Content-Type": "application/json"})
    assert message == AcceptedMessage(message.arrival, _read(CLOUD_EVENT).fields, None, has_timestamp=True)


def test_text_in_the_headers_of_a_binary_cloud_event_is_decoded() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/caf%C3%A9%20x", "ce-type": "a.b"}
    assert _read(b"", **headers).fields["messageId"] == "/café x#1"


def test_binary_data_that_is_not_json_is_kept_in_base64() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "a.b", "content-type": "image/png"}
    extensions = _read(b"\x89PNG", **headers).fields["extensions"]
    assert (extensions["data_base64"], extensions["datacontenttype"]) == ("iVBORw==", "image/png")


def test_a_batch_of_cloud_events_is_accepted_as_a_whole() -> None:
    message = _read([CLOUD_EVENT, {**CLOUD_EVENT, "id": "2"}])
    assert isinstance(message, MessageGroup)
    assert [one.fields["messageId"] for one in message.messages] == ["/users#A234-1234-1234", "/users#2"]


# attributes


@pytest.mark.parametrize("name", sorted({*KNOWN, "messageid", "version", "timestamp", "userid"} - {"type", "data"}))
@pytest.mark.parametrize("value", ["2.1", 2, 1.5, True, {"a": 1}, [1]])
def test_an_attribute_with_the_name_of_one_of_our_members_is_an_extension(name: str, value: object) -> None:
    message = _read({**CLOUD_EVENT, name: value})
    assert isinstance(message, AcceptedMessage), message
    assert {k: v for k, v in message.fields.items() if k != "extensions"} == FIELDS
    assert message.fields["extensions"][name] == value
    assert message.expected_version is None


@pytest.mark.parametrize("name", ["version", "timestamp", "metadata", "userid", "messageid"])
def test_so_is_an_attribute_in_a_header(name: str) -> None:
    message = _binary(b"{}", {**REQUIRED, name: "3"})
    assert isinstance(message, AcceptedMessage), message
    assert message.fields["extensions"][name] == "3"
    assert set(message.fields) == {"type", "messageId", "timestamp", "data", "extensions"}


@given(st.dictionaries(st.text(max_size=8), st.text() | st.integers(-9, 9) | st.booleans()))
def test_no_attribute_is_lost_whatever_its_name(attributes: dict[str, Any]) -> None:
    names = {*REQUIRED, *ATTRIBUTES, "subject", EXPECTED, IN_BASE64}
    ours = {name: value for name, value in attributes.items() if name not in names and "\0" not in name}
    message = _read({**REQUIRED, **ours})
    assert isinstance(message, AcceptedMessage), message
    assert message.fields["extensions"] == {"specversion": "1.0", "source": "s", "id": "1", **ours}


def test_the_subject_is_kept_beside_an_aggregate_id_and_replaces_an_empty_one() -> None:
    message = _read({**REQUIRED, "subject": "pictures/7", "aggregateid": "42"})
    assert (message.fields["aggregateId"], message.fields["extensions"]["subject"]) == ("42", "pictures/7")
    for empty in (None, ""):
        assert _read({**REQUIRED, "subject": "7", "aggregateid": empty}).fields["aggregateId"] == "7"


@pytest.mark.parametrize(("stated", "expected"), [(0, NO_STREAM), (3, 3), ("3", 3), ("none", NO_STREAM), (None, None)])
def test_an_attribute_may_state_the_expected_version(stated: object, expected: int | None) -> None:
    message = _read({**CLOUD_EVENT, "expectedversion": stated})
    assert message.expected_version == expected
    assert "expectedversion" not in message.fields["extensions"]
    if isinstance(stated, str):
        attributes = {name: str(value) for name, value in CLOUD_EVENT.items() if name != "data"}
        assert _binary(b"", {**attributes, "expectedversion": stated}).expected_version == expected


@pytest.mark.parametrize("stated", [-1, 1.5, True, "two", "", [], {}, 10**18])
def test_an_expectation_that_is_not_a_version_is_refused(stated: object) -> None:
    message = _read({**CLOUD_EVENT, "expectedversion": stated})
    assert isinstance(message, RejectedMessage)
    assert message.code == "INVALID_FIELD"
    assert "expectedversion" in message.reason


def test_the_header_outranks_the_attribute() -> None:
    message = _read({**CLOUD_EVENT, "expectedversion": 3}, **{"Eventscope-Expected-Version": "4"})
    assert message.expected_version == 4


# ids

PARTS = st.text(st.sampled_from("a#%235"), min_size=1, max_size=6)


@given(PARTS, PARTS, PARTS, PARTS)
@example("/a#x", "1", "/a", "x#1")
@example("a#", "b", "a", "#b")
@example("a#b", "c", "a%23b", "c")
@example("a#b", "c", "a", "#b#c")
@example("#", "#1", "%23", "#1")
def test_two_events_have_one_id_only_if_source_and_id_are_equal(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    one, other = (_read({**REQUIRED, "source": source, "id": id}) for source, id in ((a, b), (c, d)))
    assert one.fields["messageId"] != other.fields["messageId"]


@given(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9))
def test_an_id_without_a_hash_sign_is_the_source_and_the_id(source: str, id: str) -> None:
    assume("#" not in source + id)
    assert _read({**REQUIRED, "source": source, "id": id}).fields["messageId"] == f"{source}#{id}"


# data

TEXTS = [
    ("text/plain", "Grüße", "utf-8"),
    ("text/plain; charset=utf-8", "Grüße", "utf-8"),
    ('text/csv; header=present; charset="ISO-8859-1"', "Grüße", "latin-1"),
    ("TEXT/HTML; Charset=UTF-8", "<p>é</p>", "utf-8"),
    ("application/xml", "<a/>", "utf-8"),
    ("application/xml; charset=utf-16", "<a>é</a>", "utf-16"),
    ("image/svg+xml", "<svg/>", "utf-8"),
    ("application/x-own; charset=utf-8", "é", "utf-8"),
    ("text/plain;", "é", "utf-8"),
    ('text/plain; a="; charset=utf-16"; charset = windows-1252 ', "€", "cp1252"),
    ('text/plain; charset="utf\\-8"; charset=latin1', "é", "utf-8"),
]


@pytest.mark.parametrize(("kind", "text", "charset"), TEXTS)
def test_data_declared_as_text_is_text(kind: str, text: str, charset: str) -> None:
    raw = text.encode(charset)
    binary = _binary(raw, REQUIRED, **{"Content-Type": kind})
    structured = _read({**REQUIRED, "datacontenttype": kind, IN_BASE64: base64.b64encode(raw).decode()})
    for message in (binary, structured):
        assert isinstance(message, AcceptedMessage), message
        assert message.fields["data"] == text
        assert message.fields["extensions"]["datacontenttype"] == kind
        assert IN_BASE64 not in message.fields["extensions"]


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("image/png", b"\x89PNG"),
        ("application/octet-stream", b"text"),
        ("text/plain", b"\xff\xfe\xfa"),
        ("text/plain; charset=klingon", b"text"),
        ("text/plain; charset=hex", b"6162"),
        ("text/plain; charset=unicode_escape", b"\\u0041"),
        ("text/plain; charset=utf-7", b"+2AA-"),
        ("text/plain; charset=raw_unicode_escape", b"\\ud800"),
        ("text/plain; charset=utf-16-le", b"\0\xd8"),
        ('text/plain; charset="a\0b"', b"text"),
        (f"text/plain; charset*{'9' * 5000}=x", b"text"),
        ("text/plain; charset*=utf-8''x", b"text"),
        (f"text/plain; x={'y' * 1000}", b"text"),
        ('text/plain;"' + "a;" * 100_000, b"text"),
        ("", b"text"),
    ],
)
def test_data_not_declared_as_text_stays_in_base64(kind: str, raw: bytes) -> None:
    encoded = base64.b64encode(raw).decode()
    binary = _binary(raw, REQUIRED, **{"content-type": kind})
    structured = _read({**REQUIRED, "datacontenttype": kind, IN_BASE64: encoded})
    for message in (binary, structured):
        assert isinstance(message, AcceptedMessage), message
        assert "data" not in message.fields
        assert message.fields["extensions"][IN_BASE64] == encoded


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.x+json; charset=utf-8", "text/json"])
def test_json_is_parsed_in_either_mode(kind: str) -> None:
    raw = b'{"n": 1}'
    assert _binary(raw, REQUIRED, **{"content-type": kind}).fields["data"] == {"n": 1}
    encoded = base64.b64encode(raw).decode()
    assert _read({**REQUIRED, "datacontenttype": kind, IN_BASE64: encoded}).fields["data"] == {"n": 1}


@pytest.mark.parametrize(
    "encoded", ["%%%", "e30", base64.b64encode(b"{").decode(), base64.b64encode(b"NaN").decode(), 5]
)
def test_base64_without_json_inside_stays_as_it_came(encoded: object) -> None:
    message = _read({**REQUIRED, "datacontenttype": "application/json", IN_BASE64: encoded})
    assert message.fields["extensions"][IN_BASE64] == encoded
    assert "data" not in message.fields


def test_base64_without_a_stated_type_stays_as_it_came() -> None:
    assert _read({**REQUIRED, IN_BASE64: "e30="}).fields["extensions"][IN_BASE64] == "e30="


def test_binary_data_without_a_stated_type_is_json() -> None:
    assert _binary(b'{"n": 1}', REQUIRED).fields["data"] == {"n": 1}
    assert _binary(b"text", REQUIRED).code == "INVALID_JSON"


def test_a_structured_event_is_read_as_one_even_if_its_attributes_are_headers_too() -> None:
    headers = {f"ce-{name}": value for name, value in REQUIRED.items()}
    message = _read({**CLOUD_EVENT}, **headers, **{"Content-Type": "application/cloudevents+json; charset=utf-8"})
    assert message.fields == FIELDS | {"extensions": OF_THE_ENVELOPE | {"datacontenttype": "application/json"}}


def test_base64_counts_if_the_data_is_null() -> None:
    event = {**REQUIRED, "data": None, "datacontenttype": "text/plain", IN_BASE64: base64.b64encode(b"x").decode()}
    assert _read(event).fields["data"] == "x"


KINDS = st.text() | st.sampled_from(
    ["text/plain; charset", "text/x; charset*=", "a/xml; charset*0=u; charset*1=tf"]
).flatmap(lambda start: st.text().map(start.__add__))


@given(KINDS, st.binary())
def test_no_content_type_makes_it_fail(kind: str, raw: bytes) -> None:
    structured = _read({**REQUIRED, "datacontenttype": kind, IN_BASE64: base64.b64encode(raw).decode()})
    assert isinstance(structured, AcceptedMessage), structured
    assert isinstance(_binary(raw, REQUIRED, **{"content-type": kind}), AcceptedMessage | RejectedMessage)


@given(
    charset=st.sampled_from(sorted({*aliases, *aliases.values()})),
    raw=st.binary(max_size=8) | st.sampled_from([b"+2AA-", b"\\ud800", b"\\N{DIGIT ONE}", b"xn--", b"\xd8\0"]),
)
def test_no_charset_turns_half_a_surrogate_pair_into_text(charset: str, raw: bytes) -> None:
    message = _binary(raw, REQUIRED, **{"content-type": f"text/plain; charset={charset}"})
    assert isinstance(message, AcceptedMessage), message
    bson.encode(message.fields)
    assert not raw or ("data" in message.fields) != (IN_BASE64 in message.fields["extensions"])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from([*REQUIRED, *ATTRIBUTES, "subject", EXPECTED, IN_BASE64]), VALUES))
def test_no_values_of_attributes_make_it_fail(attributes: dict[str, Any]) -> None:
    for event in (attributes, REQUIRED | attributes):
        assert isinstance(_read(event), AcceptedMessage | RejectedMessage)


def test_the_trace_context_stays_an_extension() -> None:
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
    for message in (_read({**REQUIRED, **context}), _binary(b"", {**REQUIRED, **context})):
        assert message.fields["extensions"].items() >= context.items()


def test_ids_with_different_bytes_are_different() -> None:
    given = ["%FF", "%FE", "%C3%A4", "ä%FF", "%EF%BF%BDFF"]
    ids = {_read(b"", **{"ce-specversion": "1.0", "ce-source": "s", "ce-type": "a.b", "ce-id": id}).id for id in given}
    assert len(ids) == len(given)


def test_a_clear_binary_cloud_event_is_refused_if_no_envelope_is_set() -> None:
    headers = {f"Ce-{name}": value for name, value in REQUIRED.items()}
    message = parse_message(Arrival("events.a.b", headers, b"{}", 5, 1), "EVENTS", "a.b", None)
    assert isinstance(message, RejectedMessage)
    assert message.code == "WRONG_ENVELOPE"
    del headers["Ce-id"]
    assert isinstance(
        parse_message(Arrival("events.a.b", headers, b"{}", 5, 1), "EVENTS", "a.b", None), AcceptedMessage
    )


def test_no_header_of_a_binary_cloud_event_is_dropped() -> None:
    headers = MessageHeaders()
    for name, value in [*REQUIRED.items(), ("x", "1"), ("X", "2"), ("data", "d"), ("datacontenttype", "text/x")]:
        headers.add(f"ce-{name}", value)
    headers.add("ce-x", "3")
    headers.add("content-type", "application/json")
    message = parse_message(Arrival("events.a.b", headers, b"{}", 5, 1), "EVENTS", "a.b", "cloudevents")
    assert isinstance(message, AcceptedMessage)
    assert message.fields["data"] == {}
    more = {"x": ["1", "3", "2"], "ce-data": "d", "ce-datacontenttype": "text/x", "datacontenttype": "application/json"}
    assert message.fields["extensions"].items() >= more.items()
    headers.add("ce-id", "2")
    message = parse_message(Arrival("events.a.b", headers, b"{}", 5, 1), "EVENTS", "a.b", "cloudevents")
    assert isinstance(message, RejectedMessage)
    assert message.code == "WRONG_ENVELOPE"
