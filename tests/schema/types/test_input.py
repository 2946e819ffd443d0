"""Wrong input: an invalid cursor, time or number is refused with its name, and never reported as our own fault."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.resolvers import same_log
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

CURSORS = {
    "after": "query ($it: String) { events(after: $it) { nodes { id } } }",
    "before": "query ($it: String) { events(last: 5, before: $it) { nodes { id } } }",
    "replay after": "query ($it: String) { replay(after: $it) { nodes { id } } }",
    "upTo": "query ($it: String) { replay(upTo: $it) { nodes { id } } }",
    "own after": 'query ($it: String) { aggregate(type: "user", id: "u1") { events(after: $it) { nodes { id } } } }',
    "aggregates after": "query ($it: String) { aggregates(after: $it) { nodes { id } } }",
    "effects after": 'query ($it: String) { event(id: "m000") { effects(after: $it) { nodes { id } } } }',
    "trace after": 'query ($it: String) { trace(correlationId: "c1", after: $it) { eventCount } }',
    "rejected after": "query ($it: String) { rejectedEvents(after: $it) { nodes { code } } }",
}
TIME = "query ($it: DateTime) { events(filter: { fromTimestamp: $it, toTimestamp: $it }) { nodes { id } } }"
NUMBER = "query ($it: BigInt) { events(filter: { fromPosition: $it, toPosition: $it }) { nodes { id } } }"


@pytest.mark.parametrize("place", CURSORS)
@pytest.mark.parametrize(
    "cursor",
    [
        *("", " ", "x", "e", "e-", "e-1", "E1", "eFF", "e 1", "e1 ", "e1-", "e1-2-3", "e٣", "b1", "1", "null"),
        *("YXJyYXljb25uZWN0aW9uOjE=", "e" + "1" * 17, "e8000000000000000", "e1-8000000000000000", "e1\n", "e\0"),
        "x" * 100_000,
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(sample: SampleApi, place: str, cursor: str) -> None:
    error = await sample.api.refusal(CURSORS[place], it=cursor)
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": place.rpartition(" ")[2]}
    assert len(error["message"]) < 200


@pytest.mark.parametrize("place", CURSORS)
async def test_a_cursor_of_another_kind_of_list_is_refused(sample: SampleApi, place: str) -> None:
    kind = {"aggregates after": "a", "rejected after": "r"}.get(place, "e")
    await sample.api.ask(CURSORS[place], it=f"{kind}5")
    for other in {"a", "e", "r"} - {kind}:
        error = await sample.api.refusal(CURSORS[place], it=f"{other}5")
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


@given(
    cursor=st.text(max_size=20)
    | st.from_regex(r"[ear][0-9a-f]{0,20}(-[0-9a-f]{0,20})?(\.[0-9a-z]{0,20})?", fullmatch=True)
)
@settings(max_examples=100, deadline=None)
async def test_any_cursor_is_either_parsed_or_refused(sample: SampleApi, cursor: str) -> None:
    for query in CURSORS.values():
        answer = await sample.api.answer(query, it=cursor)
        codes = [error["extensions"]["code"] for error in answer.get("errors", [])]
        assert codes in ([], ["BAD_USER_INPUT"], ["WRONG_LOG"])


@pytest.mark.parametrize("place", CURSORS)
async def test_a_cursor_of_another_log_is_refused_with_a_code_of_its_own(sample: SampleApi, place: str) -> None:
    kind = {"aggregates after": "a", "rejected after": "r"}.get(place, "e")
    tag = await same_log.tag(sample.log)
    await sample.api.ask(CURSORS[place], it=f"{kind}5.{tag}")
    for cursor in (f"{kind}5.zzzzzz", f"{kind}5.{tag}0", f"{kind}ffffff.0"):
        error = await sample.api.refusal(CURSORS[place], it=cursor)
        assert error["extensions"] == {"code": "WRONG_LOG", "field": place.rpartition(" ")[2]}
        assert len(error["message"]) < 200


@pytest.mark.parametrize(
    "time",
    [
        *("", "yesterday", "2026-13-01T00:00:00Z", "2026-02-30", "25:00", "2026-03-10T12:00:00+99:00", "\0", "1"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "9" * 10_000),
        *(5, 5.5, True, [], {}),
    ],
)
async def test_what_is_not_a_time_is_refused(sample: SampleApi, time: Any) -> None:
    error = await sample.api.refusal(TIME, it=time)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "path" not in error


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
async def test_the_first_and_the_last_possible_times_are_accepted(sample: SampleApi, time: str) -> None:
    await sample.api.ask(TIME, it=time)
    query = "query ($it: DateTime) { stats(filter: { fromTimestamp: $it, toTimestamp: $it }) { totalEvents } }"
    assert await sample.api.ask(query, it=time) == {"stats": {"totalEvents": 0}}
    query = """{ stats(filter: { fromTimestamp: "0001-01-01", toTimestamp: "9999-12-31T23:59:59.999999Z" }) {
      totalEvents uniqueAggregates histogram { count }
    } }"""
    assert (await sample.api.ask(query))["stats"]["totalEvents"] == len(sample.events)
    for range in ('toTimestamp: "9999-12-31"', 'beforeTimestamp: "9999-12-31"'):
        query = "{ stats(filter: { RANGE }) { totalEvents } events(filter: { RANGE }, last: 500) { nodes { id } } }"
        answer = await sample.api.ask(query.replace("RANGE", range))
        assert answer["stats"]["totalEvents"] == len(answer["events"]["nodes"]) == len(sample.events)
    query = "{ stats(filter: { RANGE }) { totalEvents } events(filter: { RANGE }) { nodes { id } } }"
    answer = await sample.api.ask(query.replace("RANGE", 'beforeTimestamp: "0001-01-01"'))
    assert answer == {"stats": {"totalEvents": 0}, "events": {"nodes": []}}


@pytest.mark.parametrize(
    "number",
    [2**63, -(2**63) - 1, 2**64, 1.5, 5.0, True, "x", "", "-", "--5", " 5", "1e3", "0x1", "٣", "9" * 5000, [], {}],
)
async def test_what_is_not_a_64_bit_integer_is_refused(sample: SampleApi, number: Any) -> None:
    error = await sample.api.refusal(NUMBER, it=number)
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "path" not in error


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), "9223372036854775807", "-1", 0])
async def test_every_64_bit_integer_is_accepted(sample: SampleApi, number: int | str) -> None:
    assert await sample.api.ask(NUMBER, it=number) == {"events": {"nodes": []}}


@pytest.mark.parametrize(
    "query",
    [
        '{ events(filter: { fromTimestamp: "soon" }) { nodes { id } } }',
        "{ events(filter: { fromTimestamp: 2026 }) { nodes { id } } }",
        "{ events(filter: { fromPosition: 9223372036854775808 }) { nodes { id } } }",
        "{ events(filter: { fromPosition: %s }) { nodes { id } } }" % ("9" * 5000),
        "{ events(first: 2147483648) { nodes { id } } }",
        "{ events(first: %s) { nodes { id } } }" % ("9" * 5000),
        "{ events(first: 1.5) { nodes { id } } }",
        "{ events(order: SIDEWAYS) { nodes { id } } }",
        "{ events(filter: { nothing: 1 }) { nodes { id } } }",
        "{ events { nodes { nothing } } }",
        "{ event { id } }",
        "query ($id: ID!) { event(id: $id) { id } }",
        "{ event(id: null) { id } }",
        "{ events",
        "",
        " ",
        "#",
        "\0",
        "fragment F on Query { log { head } }",
        "{" * 1000,
        "{ a " * 900 + "}" * 900,
        "{ ...F } fragment F on Query { ...F }",
        "mutation { log }",
        "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }",
    ],
)
async def test_an_invalid_document_is_refused_and_nothing_of_it_is_executed(sample: SampleApi, query: str) -> None:
    answer = await sample.api.answer(query)
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}
    assert "data" not in answer


async def test_an_error_names_the_argument_at_fault(sample: SampleApi) -> None:
    error = await sample.api.refusal('{ events(before: "x") { nodes { id } } }')
    assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": "before"}
    assert error["path"] == ["events"]
    assert error["message"] == "before: 'x' is not a cursor of this list; pass one that it returned"
