"""Parsing messages: what is understood, what is filled in where it is missing, and what is refused with which code."""

from dataclasses import replace

import bson
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from eventscope.store.values.documents import plain
from eventscope.store.values.message import NO_STREAM, AcceptedMessage, Arrival, MessageGroup, RejectedMessage
from eventscope.subscriptions.messages import versions
from eventscope.subscriptions.messages.json_body import MOST_BYTES, MOST_DEPTH
from eventscope.subscriptions.messages.parse import MOST_TEXT, MOST_TOGETHER, parse_message
from eventscope.subscriptions.messages.versions import VersionUse
from tests.store.support.json_values import json_values

AT = 1_700_000_000_000_000


def accepted(raw: bytes, headers: dict[str, str] | None = None, use: VersionUse = "claim") -> AcceptedMessage:
    outcome = parse_message(
        Arrival("events.user.created", headers or {}, raw, 5, AT), "EVENTS", "user.created", "plain", use
    )
    assert isinstance(outcome, AcceptedMessage), outcome
    return outcome


def refused(
    raw: bytes,
    headers: dict[str, str] | None = None,
    subject_type: str | None = "user.created",
    use: VersionUse = "claim",
) -> str:
    outcome = parse_message(
        Arrival("events.user.created", headers or {}, raw, 5, AT), "EVENTS", subject_type, "plain", use
    )
    assert isinstance(outcome, RejectedMessage), outcome
    assert outcome.reason
    return outcome.code


def test_a_type_that_is_not_a_text_is_shown_as_json() -> None:
    arrival = Arrival("events.a", {}, b'{"type": {"cmd": "x", "on": true}}', 1, 0)
    refused = parse_message(arrival, "S", "a")
    assert isinstance(refused, RejectedMessage)
    assert refused.reason.startswith('the type {"cmd":"x","on":true} is not words joined by dots')


REFERENCES = st.recursive(
    st.sampled_from([None, 1, "c", ""]),
    lambda inner: st.dictionaries(st.sampled_from(["$ref", "$id", "$db", "a"]), inner) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(data=REFERENCES, escaped=st.sampled_from(["$db", "\\u0024db", "$\\u0064b", "$d\\u0062"]))
@example(data={"$ref": "c", "$id": 1, "$db": None}, escaped="$\\u0064b")
def test_what_the_driver_takes_for_a_reference_is_returned_unchanged_or_refused(data: object, escaped: str) -> None:
    raw = orjson.dumps({"data": data}).replace(b'"$db"', f'"{escaped}"'.encode())
    outcome = parse_message(Arrival("events.a", {}, raw, 1, AT), "S", "a")
    if isinstance(outcome, RejectedMessage):
        assert outcome.code == "INVALID_KEY"
        assert "null" in raw.decode()
    else:
        assert isinstance(outcome, AcceptedMessage)
        stored = bson.decode(bson.encode({"data": outcome.fields.get("data")}))
        assert orjson.loads(orjson.dumps(stored, default=plain)) == {"data": data}


def test_the_subject_names_the_type_if_the_message_does_not() -> None:
    assert accepted(b"{}").fields["type"] == "user.created"
    assert accepted(b'{"type": null}').fields["type"] == "user.created"
    assert accepted(b'{"type": "user.moved"}').fields["type"] == "user.moved"
    assert refused(b"{}", subject_type=None) == "MISSING_TYPE"


@pytest.mark.parametrize(
    "type", ["", "a b", "a..b", ".a", "a.", "a.*", "a.>", "a\tb", "x" * (MOST_TEXT + 1), 5, ["a"], {}]
)
def test_a_type_that_no_subject_could_carry_is_refused(type: object) -> None:
    assert refused(orjson.dumps({"type": type})) == "INVALID_TYPE"


def test_the_message_id_comes_from_the_message_or_a_header_or_the_place_in_the_stream() -> None:
    header = {"Nats-Msg-Id": "h"}
    assert accepted(b'{"messageId": "m"}', header).fields["messageId"] == "m"
    assert accepted(b"{}", header).fields["messageId"] == "h"
    made_up = accepted(b"{}").fields["messageId"]
    assert accepted(b'{"data": 1}').fields["messageId"] == made_up
    elsewhere = parse_message(Arrival("events.user.created", {}, b"{}", 6, AT), "EVENTS", "user.created")
    reused = parse_message(Arrival("events.user.created", {}, b"{}", 5, AT + 1), "EVENTS", "user.created")
    assert isinstance(elsewhere, AcceptedMessage)
    assert isinstance(reused, AcceptedMessage)
    assert len({made_up, elsewhere.fields["messageId"], reused.fields["messageId"]}) == 3


def test_a_timestamp_keeps_its_microseconds_and_its_zone_is_respected() -> None:
    assert accepted(b'{"timestamp": "2023-11-14T22:13:20.000001Z"}').fields["timestamp"] == AT + 1
    assert accepted(b'{"timestamp": "2023-11-14T23:13:20+01:00"}').fields["timestamp"] == AT
    assert accepted(b'{"timestamp": "2023-11-14T22:13:20"}').fields["timestamp"] == AT
    assert accepted(b"{}").fields["timestamp"] == AT


@pytest.mark.parametrize(
    "timestamp", ["", "now", "2023-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 1700000000000, True, []]
)
def test_what_is_not_a_time_is_refused(timestamp: object) -> None:
    assert refused(orjson.dumps({"timestamp": timestamp})) == "INVALID_TIMESTAMP"


def test_ids_may_be_numbers_and_are_kept_as_text() -> None:
    fields = accepted(b'{"aggregateType": "user", "aggregateId": 7, "userId": "u"}').fields
    assert (fields["aggregateId"], fields["userId"]) == ("7", "u")


def test_absent_null_and_empty_fields_mean_the_same() -> None:
    for raw in (b"{}", b'{"userId": null, "data": null}', b'{"userId": ""}'):
        assert set(accepted(raw).fields) == {"type", "messageId", "timestamp"}


@pytest.mark.parametrize("value", [True, [], {}, 1.5, "x" * (MOST_TEXT + 1)])
@pytest.mark.parametrize(
    "name", ["messageId", "aggregateId", "aggregateType", "userId", "correlationId", "causationId"]
)
def test_a_field_of_the_wrong_kind_is_refused(name: str, value: object) -> None:
    assert refused(orjson.dumps({name: value})) == "INVALID_FIELD"


def test_members_that_have_no_field_are_kept() -> None:
    assert accepted(b'{"traceparent": "00", "data": {}}').fields["extensions"] == {"traceparent": "00"}


USER = {"aggregateType": "user", "aggregateId": "1"}
VERSION_3 = orjson.dumps(USER | {"version": 3})


def test_a_version_is_a_claim_and_expects_nothing() -> None:
    message = accepted(VERSION_3)
    assert (message.claimed_version, message.expected_version) == (3, None)
    assert "version" not in message.fields
    assert accepted(b"{}").claimed_version is None
    assert accepted(b'{"version": null}') == replace(accepted(b"{}"), arrival=accepted(b'{"version": null}').arrival)


@given(st.integers(-(2**63), 2**63 - 1) | json_values(), st.sampled_from([{}, USER]))
def test_no_claimed_version_rejects_an_event(version: object, of: dict[str, str]) -> None:
    message = accepted(orjson.dumps({**of, "version": version, "x": 1}))
    is_claim = isinstance(version, int) and not isinstance(version, bool)
    assert message.claimed_version == (version if is_claim else None)
    other = {} if version is None or is_claim else {"version": version}
    assert orjson.dumps(message.fields["extensions"]) == orjson.dumps({"x": 1} | other)
    assert message.expected_version is None


def test_the_header_states_the_expected_version_whatever_the_message_claims() -> None:
    for text, version in (("7", 7), (" 7 ", 7), ("0", NO_STREAM), ("none", NO_STREAM)):
        headers = {"Eventscope-Expected-Version": text}
        for message in (accepted(VERSION_3, headers, "claim"), accepted(VERSION_3, headers, "expect")):
            assert (message.expected_version, message.claimed_version) == (version, 3)


def test_with_the_setting_a_version_expects_the_previous_one() -> None:
    message = accepted(VERSION_3, use="expect")
    assert (message.expected_version, message.claimed_version) == (2, None)
    assert accepted(b"{}", use="expect").expected_version is None
    assert refused(b'{"version": 1}', use="expect") == "NO_AGGREGATE"


@pytest.mark.parametrize("version", [0, -1, 1.5, "1", True, []])
def test_with_the_setting_what_is_not_a_version_is_refused(version: object) -> None:
    raw = orjson.dumps(USER | {"version": version})
    assert refused(raw, use="expect") == "INVALID_FIELD"
    # beside a header it is a claim
    assert accepted(raw, {"Eventscope-Expected-Version": "1"}, use="expect").expected_version == 1


@pytest.mark.parametrize("version", ["", "-1", "1.0", "x", "٣", "9" * 19, ",", "1,", "1,2"])
def test_a_header_that_is_not_a_version_is_refused(version: str) -> None:
    named = b'{"aggregateType": "u", "aggregateId": "1"}'
    assert refused(named, {"Eventscope-Expected-Version": version}) == "INVALID_FIELD"


def test_an_expectation_without_an_aggregate_is_refused() -> None:
    assert refused(b"{}", {"Eventscope-Expected-Version": "1"}) == "NO_AGGREGATE"


def test_the_limits_hold_to_the_byte_and_to_the_level() -> None:
    filling = MOST_BYTES - len(b'{"data": ""}')
    accepted(b'{"data": "' + b"x" * filling + b'"}')
    assert refused(b'{"data": "' + b"x" * (filling + 1) + b'"}') == "TOO_LARGE"
    deep = MOST_DEPTH - 1
    accepted(b'{"data":' + b"[" * deep + b"]" * deep + b"}")
    assert refused(b'{"data":' + b"[" * (deep + 1) + b"]" * (deep + 1) + b"}") == "TOO_DEEP"
    assert refused(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}") == "TOO_DEEP"


@given(st.integers(-(2**70), 2**70))
def test_integers_are_accepted_if_and_only_if_they_fit_into_64_bits(number: int) -> None:
    raw = b'{"data": [%d]}' % number
    if -(2**63) <= number < 2**63:
        assert accepted(raw).fields["data"] == [number]
    else:
        assert refused(raw) == "INTEGER_TOO_LARGE"


def test_decimals_are_accepted_if_and_only_if_a_float_equals_them() -> None:
    assert accepted(b'{"data": "12345678901234567890123"}').fields["data"] == "12345678901234567890123"
    assert accepted(b'{"data": 0.12345678901234568}').fields["data"] == 0.12345678901234568
    for number in (b"0.12345678901234567890123", b"123456789012345.6789", b"1e400", b"1e-400"):
        for place in (b'{"data": [{"n": %s}]}', b'{"metadata": %s}', b'{"other": %s}', b'[{}, {"data": %s}]', b"%s"):
            assert refused(place % number) == "NUMBER_TOO_PRECISE"


def test_a_key_given_twice_is_refused_since_nobody_knows_which_was_meant() -> None:
    for raw in (b'{"type":"a","type":"b"}', b'{"data":{"x":[{"a":1,"a":1}]}}', b'[{},{"data":1,"d\\u0061ta":2}]'):
        assert refused(raw) == "DUPLICATE_KEY"
    outcome = parse_message(
        Arrival("e", {}, b'{"data": {"items": [{"sku": 1, "sku": 2}]}}', 5, AT), "EVENTS", "user.moved"
    )
    assert isinstance(outcome, RejectedMessage)
    assert outcome.reason == "the key 'sku' at data.items[0] is given more than once"


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    parse_message(Arrival("events.a", {}, raw, 1, AT), "EVENTS", "a")


def test_several_events_may_come_in_one_message() -> None:
    raw = orjson.dumps([{"data": 1}, {"type": "user.moved", "messageId": "m"}])
    outcome = parse_message(Arrival("events.user.created", {"Nats-Msg-Id": "h"}, raw, 5, AT), "EVENTS", "user.created")
    assert isinstance(outcome, MessageGroup)
    assert [(m.fields["messageId"], m.fields["type"]) for m in outcome.messages] == [
        ("h:0", "user.created"),
        ("m", "user.moved"),
    ]


@pytest.mark.parametrize(
    ("header", "use", "expected", "claimed"),
    [
        (None, "claim", [None, None, None], [None, 9, None]),
        (None, "expect", [None, 8, None], [None, None, None]),
        ("4", "claim", [4, None, None], [None, 9, None]),
        ("4", "expect", [4, 8, None], [None, None, None]),
        ("none, 3", "expect", [0, 3, None], [None, 9, None]),
        (",,5", "claim", [None, None, 5], [None, 9, None]),
    ],
)
def test_the_header_of_a_group_lists_the_versions_from_its_first_event_on(
    header: str | None, use: VersionUse, expected: list[int | None], claimed: list[int | None]
) -> None:
    headers = {} if header is None else {"Eventscope-Expected-Version": header}
    outcome = parse_message(
        Arrival("e", headers, orjson.dumps([USER, USER | {"version": 9}, USER]), 5, AT), "E", "a", "plain", use
    )
    assert isinstance(outcome, MessageGroup)
    assert [message.expected_version for message in outcome.messages] == expected
    assert [message.claimed_version for message in outcome.messages] == claimed


@given(st.lists(st.none() | st.integers(0, 10**18 - 1), min_size=1, max_size=20))
def test_the_expected_versions_of_a_group_are_parsed_as_they_were_written(expected: list[int | None]) -> None:
    assert list(versions.expected_versions(versions.header(expected), len(expected))) == expected


@pytest.mark.parametrize("header", ["1,2,3", "1;2", "x", "", "1,x"])
def test_a_header_that_does_not_fit_two_events_refuses_both(header: str) -> None:
    assert refused(orjson.dumps([USER, USER]), {"Eventscope-Expected-Version": header}) == "INVALID_FIELD"


def test_one_wrong_event_refuses_the_whole_group_and_is_named() -> None:
    raw = orjson.dumps([{}, {"timestamp": "soon"}, {}])
    outcome = parse_message(Arrival("e", {}, raw, 5, AT), "EVENTS", "user.moved")
    assert isinstance(outcome, RejectedMessage)
    assert (outcome.code, outcome.index) == ("INVALID_TIMESTAMP", 1)
    assert outcome.reason.startswith("event 2 of 3: ")


def test_a_list_holds_one_to_a_thousand_events_each_as_deep_as_a_single_one() -> None:
    assert refused(b"[]") == "WRONG_COUNT"
    assert refused(orjson.dumps([{}] * (MOST_TOGETHER + 1))) == "WRONG_COUNT"
    assert isinstance(
        parse_message(Arrival("e", {}, orjson.dumps([{}] * MOST_TOGETHER), 5, AT), "E", "a"), MessageGroup
    )
    deep = MOST_DEPTH - 1
    raw = b'[{"data":' + b"[" * deep + b"]" * deep + b"}]"
    assert isinstance(parse_message(Arrival("e", {}, raw, 5, AT), "E", "a"), MessageGroup)
    assert refused(b'[{"data":' + b"[" * (deep + 1) + b"]" * (deep + 1) + b"}]") == "TOO_DEEP"
