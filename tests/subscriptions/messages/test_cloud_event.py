"""CloudEvents mean the same in the log as on the wire, in structured and in binary mode."""

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from eventscope.store.values.headers import MessageHeaders
from eventscope.store.values.message import NO_STREAM, AcceptedMessage, Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.messages.cloud_event import ATTRIBUTES, EXPECTED, IN_BASE64
from eventscope.subscriptions.messages.parse import EVENT_MEMBERS, parse_message
from tests.subscriptions.support.cloud_events import CLOUD_EVENT, FIELDS, REQUIRED, read, read_binary

OF_THE_ENVELOPE = {"specversion": "1.0", "source": "/users", "id": "A234-1234-1234"}


def test_a_structured_cloud_event_is_accepted_with_all_its_attributes() -> None:
    message = read(CLOUD_EVENT)
    extensions = {
        "specversion": "1.0",
        "source": "/users",
        "id": "A234-1234-1234",
        "datacontenttype": "application/json",
    }
    assert message.fields == FIELDS | {"extensions": extensions}


def test_a_binary_cloud_event_is_the_same_event() -> None:
    attributes = {f"ce-{name}": str(v) for name, v in CLOUD_EVENT.items() if name not in ("data", "datacontenttype")}
    message = read(CLOUD_EVENT["data"], **attributes, **{"Content-Type": "application/json"})
    assert message == AcceptedMessage(message.arrival, read(CLOUD_EVENT).fields, None, has_timestamp=True)


def test_text_in_the_headers_of_a_binary_cloud_event_is_decoded() -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/caf%C3%A9%20x", "ce-type": "a.b"}
    assert read(b"", **headers).fields["messageId"] == "/café x#1"


def test_a_batch_of_cloud_events_is_accepted_as_a_whole() -> None:
    message = read([CLOUD_EVENT, {**CLOUD_EVENT, "id": "2"}])
    assert isinstance(message, MessageGroup)
    assert [one.fields["messageId"] for one in message.messages] == ["/users#A234-1234-1234", "/users#2"]


@pytest.mark.parametrize(
    "name", sorted({*EVENT_MEMBERS, "messageid", "version", "timestamp", "userid"} - {"type", "data"})
)
@pytest.mark.parametrize("value", ["2.1", 2, 1.5, True, {"a": 1}, [1]])
def test_an_attribute_with_the_name_of_one_of_our_members_is_an_extension(name: str, value: object) -> None:
    message = read({**CLOUD_EVENT, name: value})
    assert isinstance(message, AcceptedMessage), message
    assert {k: v for k, v in message.fields.items() if k != "extensions"} == FIELDS
    assert message.fields["extensions"][name] == value
    assert message.expected_version is None


@pytest.mark.parametrize("name", ["version", "timestamp", "metadata", "userid", "messageid"])
def test_so_is_an_attribute_in_a_header(name: str) -> None:
    message = read_binary(b"{}", {**REQUIRED, name: "3"})
    assert isinstance(message, AcceptedMessage), message
    assert message.fields["extensions"][name] == "3"
    assert set(message.fields) == {"type", "messageId", "timestamp", "data", "extensions"}


@given(st.dictionaries(st.text(max_size=8), st.text() | st.integers(-9, 9) | st.booleans()))
def test_no_attribute_is_lost_whatever_its_name(attributes: dict[str, Any]) -> None:
    names = {*REQUIRED, *ATTRIBUTES, "subject", EXPECTED, IN_BASE64}
    ours = {name: value for name, value in attributes.items() if name not in names and "\0" not in name}
    message = read({**REQUIRED, **ours})
    assert isinstance(message, AcceptedMessage), message
    assert message.fields["extensions"] == {"specversion": "1.0", "source": "s", "id": "1", **ours}


def test_the_subject_is_kept_beside_an_aggregate_id_and_replaces_an_empty_one() -> None:
    message = read({**REQUIRED, "subject": "pictures/7", "aggregateid": "42"})
    assert (message.fields["aggregateId"], message.fields["extensions"]["subject"]) == ("42", "pictures/7")
    for empty in (None, ""):
        assert read({**REQUIRED, "subject": "7", "aggregateid": empty}).fields["aggregateId"] == "7"


@pytest.mark.parametrize(("stated", "expected"), [(0, NO_STREAM), (3, 3), ("3", 3), ("none", NO_STREAM), (None, None)])
def test_an_attribute_may_state_the_expected_version(stated: object, expected: int | None) -> None:
    message = read({**CLOUD_EVENT, "expectedversion": stated})
    assert message.expected_version == expected
    assert "expectedversion" not in message.fields["extensions"]
    if isinstance(stated, str):
        attributes = {name: str(value) for name, value in CLOUD_EVENT.items() if name != "data"}
        assert read_binary(b"", {**attributes, "expectedversion": stated}).expected_version == expected


@pytest.mark.parametrize("stated", [-1, 1.5, True, "two", "", [], {}, 10**18])
def test_an_expectation_that_is_not_a_version_is_refused(stated: object) -> None:
    message = read({**CLOUD_EVENT, "expectedversion": stated})
    assert isinstance(message, RejectedMessage)
    assert message.code == "INVALID_FIELD"
    assert "expectedversion" in message.reason


def test_the_header_outranks_the_attribute() -> None:
    message = read({**CLOUD_EVENT, "expectedversion": 3}, **{"Eventscope-Expected-Version": "4"})
    assert message.expected_version == 4


PARTS = st.text(st.sampled_from("a#%235"), min_size=1, max_size=6)


@given(PARTS, PARTS, PARTS, PARTS)
@example("/a#x", "1", "/a", "x#1")
@example("a#", "b", "a", "#b")
@example("a#b", "c", "a%23b", "c")
@example("a#b", "c", "a", "#b#c")
@example("#", "#1", "%23", "#1")
def test_two_events_have_one_id_only_if_source_and_id_are_equal(a: str, b: str, c: str, d: str) -> None:
    assume((a, b) != (c, d))
    one, other = (read({**REQUIRED, "source": source, "id": id}) for source, id in ((a, b), (c, d)))
    assert one.fields["messageId"] != other.fields["messageId"]


@given(st.text(min_size=1, max_size=9), st.text(min_size=1, max_size=9))
def test_an_id_without_a_hash_sign_is_the_source_and_the_id(source: str, id: str) -> None:
    assume("#" not in source + id)
    assert read({**REQUIRED, "source": source, "id": id}).fields["messageId"] == f"{source}#{id}"


def test_a_structured_event_is_read_as_one_even_if_its_attributes_are_headers_too() -> None:
    headers = {f"ce-{name}": value for name, value in REQUIRED.items()}
    message = read({**CLOUD_EVENT}, **headers, **{"Content-Type": "application/cloudevents+json; charset=utf-8"})
    assert message.fields == FIELDS | {"extensions": OF_THE_ENVELOPE | {"datacontenttype": "application/json"}}


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
        assert isinstance(read(event), AcceptedMessage | RejectedMessage)


def test_the_trace_context_stays_an_extension() -> None:
    context = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
    for message in (read({**REQUIRED, **context}), read_binary(b"", {**REQUIRED, **context})):
        assert message.fields["extensions"].items() >= context.items()


def test_ids_with_different_bytes_are_different() -> None:
    given = ["%FF", "%FE", "%C3%A4", "ä%FF", "%EF%BF%BDFF"]
    ids = {read(b"", **{"ce-specversion": "1.0", "ce-source": "s", "ce-type": "a.b", "ce-id": id}).id for id in given}
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
