"""Filters: what each field means by itself, and that what a caller writes is only ever a value."""

from typing import Any

import pytest

from eventscope.store.values import moment
from tests.schema.support.event_model import means
from tests.support.sample_log import IDS, SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = """query ($filter: EventFilter) {
  events(filter: $filter, order: OLDEST_FIRST, first: 1000) { nodes { id } }
}"""


async def found(sample: SampleApi, filter: dict[str, Any]) -> list[str]:
    answer = await sample.api.ask(QUERY, filter=filter)
    return [node["id"] for node in answer["events"]["nodes"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ids", ["m003", "m250", "m003", "nothing"]),
        ("eventTypes", ["user.created", "file.deleted"]),
        ("aggregateType", "user"),
        ("aggregateTypes", ["user", "vendor"]),
        ("aggregateId", "u3"),
        ("aggregateIds", ["u3", "v1"]),
        ("userId", "alice@example.org"),
        ("correlationId", "c7"),
        ("causationId", "command-1"),
        ("fromTimestamp", "2026-03-15T12:00:00Z"),
        ("toTimestamp", "2026-03-15T12:00:00Z"),
        ("fromTimestamp", "2026-03-15"),
        ("toTimestamp", "2026-03-15"),
        ("beforeTimestamp", "2026-03-15"),
        ("beforeTimestamp", "2026-03-15T12:00:00Z"),
        ("fromPosition", 123),
        ("toPosition", 123),
        ("fromVersion", 7),
        ("toVersion", 2),
    ],
)
async def test_each_field_has_its_documented_meaning(sample: SampleApi, field: str, value: object) -> None:
    wanted = sample.those(lambda event: means({field: value}, event))
    assert 0 < len(wanted) < len(sample.events)
    assert await found(sample, {field: value}) == wanted


async def test_all_given_conditions_must_hold(sample: SampleApi) -> None:
    filter = {"aggregateType": "user", "eventTypes": ["*.updated"], "userId": "alice", "fromVersion": 3}
    wanted = sample.those(lambda event: means(filter, event))
    assert wanted
    assert await found(sample, filter) == wanted


async def test_a_star_in_an_event_type_stands_for_any_text_and_nothing_else_is_special(sample: SampleApi) -> None:
    users = await found(sample, {"eventTypes": ["user.*"]})
    assert users == sample.those(lambda e: e["type"].startswith("user."))
    assert await found(sample, {"eventTypes": ["*.deleted"]}) == sample.those(lambda e: e["type"].endswith(".deleted"))
    assert await found(sample, {"eventTypes": ["*"]}) == sample.those()
    assert await found(sample, {"eventTypes": ["user"]}) == []
    assert await found(sample, {"eventTypes": ["use..created"]}) == []
    assert await found(sample, {"eventTypes": ["user.*", "user.created"]}) == users


@pytest.mark.parametrize("list", ["ids", "eventTypes", "aggregateTypes", "aggregateIds"])
async def test_an_empty_list_matches_no_event(sample: SampleApi, list: str) -> None:
    assert await found(sample, {list: []}) == []


async def test_a_null_field_is_no_condition(sample: SampleApi) -> None:
    assert await found(sample, {"userId": None, "ids": None, "fromTimestamp": None}) == sample.those()
    assert (await sample.api.ask("{ events(filter: null, order: null, first: null) { nodes { id } } }"))["events"]


async def test_both_ends_of_a_range_are_included(sample: SampleApi) -> None:
    one = next(event for event in sample.events if "version" in event and event["timestamp"] % 1_000_000)
    moment_text = moment.to_text(one["timestamp"])
    at_that_time = sample.those(lambda event: event["timestamp"] == one["timestamp"])
    assert await found(sample, {"fromTimestamp": moment_text, "toTimestamp": moment_text}) == at_that_time
    assert await found(sample, {"fromPosition": one["_id"], "toPosition": one["_id"]}) == [one["messageId"]]
    of_that_version = sample.those(lambda event: event.get("version") == one["version"])
    assert await found(sample, {"fromVersion": one["version"], "toVersion": one["version"]}) == of_that_version


async def test_a_range_that_ends_before_it_begins_matches_nothing(sample: SampleApi) -> None:
    assert await found(sample, {"fromPosition": 9, "toPosition": 8}) == []
    assert await found(sample, {"fromTimestamp": "2026-03-09", "toTimestamp": "2026-03-08"}) == []


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("2026-03-10T12:00:00", "2026-03-10T12:00:00Z"),
        ("2026-03-10T14:00:00+02:00", "2026-03-10T12:00:00Z"),
        ("2026-03-10", "2026-03-10T00:00:00Z"),
        ("2026-03-10T12:00:00.000000Z", "2026-03-10T12:00:00Z"),
    ],
)
async def test_a_time_may_be_written_in_several_ways(sample: SampleApi, written: str, same: str) -> None:
    assert await found(sample, {"fromTimestamp": written}) == await found(sample, {"fromTimestamp": same})


async def test_a_position_may_be_written_as_a_string(sample: SampleApi) -> None:
    assert await found(sample, {"fromPosition": "123"}) == await found(sample, {"fromPosition": 123})


@pytest.mark.parametrize("hostile", IDS["file"])
async def test_an_id_that_looks_like_an_operator_or_a_pattern_is_taken_literally(
    sample: SampleApi, hostile: str
) -> None:
    wanted = sample.those(lambda event: event.get("aggregateId") == hostile)
    assert wanted
    assert await found(sample, {"aggregateId": hostile}) == wanted
    assert await found(sample, {"aggregateIds": [hostile, hostile]}) == wanted


@pytest.mark.parametrize("hostile", ['{"$gt": ""}', ".*", "a\0b", "$where", "(", "\\", "{'$ne': null}", "\u202e", ""])
async def test_a_text_that_looks_like_an_operator_or_a_pattern_is_taken_literally(
    sample: SampleApi, hostile: str
) -> None:
    for field in ("userId", "correlationId", "causationId", "aggregateType"):
        assert await found(sample, {field: hostile}) == []
    for field in ("ids", "eventTypes", "aggregateTypes"):
        assert await found(sample, {field: [hostile]}) == []
    assert await found(sample, {"eventTypes": [hostile + "*x"]}) == []
    answer = await sample.api.ask(
        """query ($text: String!, $id: ID!) {
          event(id: $id) { id }
          aggregate(type: $text, id: $id) { id }
          aggregates(filter: { types: [$text], ids: [$id] }) { nodes { id } }
          stats(filter: { aggregateType: $text }) { totalEvents uniqueAggregates }
        }""",
        text=hostile,
        id=hostile,
    )
    assert answer == {
        "event": None,
        "aggregate": None,
        "aggregates": {"nodes": []},
        "stats": {"totalEvents": 0, "uniqueAggregates": 0},
    }


async def test_an_object_where_a_text_belongs_is_refused(sample: SampleApi) -> None:
    for hostile in ({"$gt": ""}, ["a"], 5.5, True):
        error = await sample.api.refusal(QUERY, filter={"userId": hostile})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "filter",
    [
        {"data": [{"path": "name", "eq": "größe"}]},
        {"data": [{"path": "name", "ne": "größe"}]},
        {"data": [{"path": "n", "in": [3, 4.0, "5"]}]},
        {"data": [{"path": "n", "gt": 10, "lte": 20.5}]},
        {"data": [{"path": "n", "gte": 290}, {"path": "name", "lt": "B"}]},
        {"data": [{"path": "name", "startsWith": "Gr"}]},
        {"data": [{"path": "name", "contains": "a"}]},
        {"data": [{"path": "nested.list.1", "eq": 2.5}, {"path": "n", "lt": 5}]},
        {"metadata": [{"path": "source", "exists": True}]},
        {"metadata": [{"path": "source", "exists": False}]},
        {"metadata": [{"path": "source", "eq": None}]},
        {"metadata": [{"path": "source", "ne": None}]},
        {"metadata": [{"path": "", "eq": {"ip": "192.0.2.1", "source": "test"}}]},
        {"or": [{"userId": "alice"}, {"aggregateId": "u3"}]},
        {"and": [{"userId": "alice"}, {"eventTypes": ["user.*"]}]},
        {"not": {"eventTypes": ["user.*", "file.created"]}},
        {"not": {"userId": "alice"}},
        {"not": {"or": [{"userId": "alice"}, {"not": {"eventTypes": ["*.created"]}}]}},
        {"or": [{"eventTypes": ["file.*"]}, {"fromTimestamp": "2026-03-30T00:00:00Z"}]},
        {"not": {"fromVersion": 2}},
        {"userId": "bob", "or": [{"correlationId": "c7"}, {"data": [{"path": "n", "lt": 20}]}]},
    ],
    ids=str,
)
async def test_conditions_on_content_and_nested_filters_mean_what_the_guide_says(
    sample: SampleApi, filter: dict[str, Any]
) -> None:
    wanted = sample.those(lambda event: means(filter, event))
    assert 0 < len(wanted) < len(sample.events)
    assert await found(sample, filter) == wanted


async def test_null_is_a_value_for_eq_and_ne_and_no_condition_for_other_tests(sample: SampleApi) -> None:
    open_tests = {"gt": None, "in": None, "exists": None, "startsWith": None}
    assert await found(sample, {"metadata": [{"path": "source", "eq": None, **open_tests}]}) == sample.those(
        lambda event: "metadata" not in event
    )
    assert await found(sample, {"data": None, "and": None, "or": None, "not": None}) == sample.those()


async def test_an_empty_or_matches_nothing_and_an_empty_and_matches_everything(sample: SampleApi) -> None:
    assert await found(sample, {"or": []}) == []
    assert await found(sample, {"not": {"or": []}}) == sample.those()
    assert await found(sample, {"and": []}) == sample.those()
    assert await found(sample, {"not": {}}) == []
    assert await found(sample, {"or": [{}]}) == sample.those()


async def test_values_may_be_literals_in_the_document(sample: SampleApi) -> None:
    answer = await sample.api.ask(
        """query ($name: JSON) {
          events(order: OLDEST_FIRST, filter: {
            data: [
              { path: "n", gte: 7, lt: 10.5 }, { path: "nested", eq: { list: [1, 2.5, null] } }
              { path: "name", in: ["Ada", "Grace", "größe"], ne: $name }
            ]
          }) { nodes { id } coverage { complete scannedTo } }
        }""",
        name=None,
    )
    assert [node["id"] for node in answer["events"]["nodes"]] == ["m007", "m008", "m009", "m010"]
    assert answer["events"]["coverage"] == {"complete": True, "scannedTo": None}


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ({"path": "a"}, "has no test"),
        ({"path": "a\\", "eq": 1}, "nothing after it"),
        ({"path": "a" * 513, "eq": 1}, "513 characters; the limit is 512"),
        ({"path": ".".join("a" * 33), "eq": 1}, "33 keys; the limit is 32"),
        ({"path": "a", "in": list(range(1001))}, "1001 values; the limit is 1000"),
        ({"path": "a", "eq": "x" * 1025}, "1025 characters; the limit is 1024"),
        ({"path": "a", "contains": "x" * 1025}, "1025 characters; the limit is 1024"),
        ({"path": "a", "eq": {"x" * 1025: 1}}, "1025 characters; the limit is 1024"),
        ({"path": "a", "eq": [[[[[[[[[1]]]]]]]]]}, "over 8 deep"),
        ({"path": "a", "eq": list(range(1001))}, "over 1000 values"),
        ({"path": "a", "eq": 2**63}, "64 bits"),
        ({"path": "a", "ne": [-(2**63) - 1]}, "64 bits"),
        ({"path": "a", "gt": {}}, "`gt` on 'a' takes a number, a string or a boolean"),
        ({"path": "a", "lte": [1]}, "`lte` on 'a' takes a number, a string or a boolean"),
    ],
)
async def test_an_invalid_condition_or_one_that_is_too_long_is_refused(
    sample: SampleApi, condition: dict[str, Any], reason: str
) -> None:
    for root in ("data", "metadata"):
        error = await sample.api.refusal(QUERY, filter={"or": [{"not": {root: [condition]}}]})
        assert error["extensions"] == {"code": "BAD_USER_INPUT", "field": root}
        assert reason in error["message"]
        assert len(error["message"]) < 200


async def test_a_condition_at_its_limits_is_accepted(sample: SampleApi) -> None:
    for condition in (
        {"path": ".".join(["a"] * 32), "eq": 1},
        {"path": "a" * 512, "eq": 1},
        {"path": "a", "in": [f"x{n}" for n in range(1000)], "contains": "x" * 1024},
        {"path": "0." * 15 + "0", "eq": [[[[[[[[1]]]]]]]]},
        {"path": "a", "eq": {"b": list(range(998))}},
        {"path": "a", "lt": 2**63 - 1, "gt": -(2**63)},
        {"path": "a", "eq": 1e308},
    ):
        assert await found(sample, {"data": [condition]}) == []


async def test_a_filter_of_over_100_conditions_or_nested_over_10_deep_is_refused(sample: SampleApi) -> None:
    assert await found(sample, {"data": [{"path": f"x{n}", "eq": n} for n in range(100)]}) == []
    error = await sample.api.refusal(QUERY, filter={"data": [{"path": f"x{n}", "eq": n} for n in range(101)]})
    assert (error["extensions"], "100" in error["message"]) == ({"code": "QUERY_TOO_COMPLEX"}, True)
    assert await found(sample, {"or": [{"userId": "nobody"} for _ in range(50)]}) == []
    error = await sample.api.refusal(QUERY, filter={"or": [{"userId": "nobody"} for _ in range(51)]})
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}
    for join in ("not", "and", "or"):
        nested: dict[str, Any] = {"userId": "nobody"}
        for _ in range(9):
            nested = {join: nested if join == "not" else [nested]}
        assert await found(sample, nested) == (sample.those() if join == "not" else [])
        error = await sample.api.refusal(QUERY, filter={join: nested if join == "not" else [nested]})
        assert (error["extensions"], "over 10 deep" in error["message"]) == ({"code": "QUERY_TOO_COMPLEX"}, True)


@pytest.mark.parametrize("depth", [60, 127, 500])
async def test_a_filter_that_nests_far_too_deeply_is_refused_like_any_other(sample: SampleApi, depth: int) -> None:
    nested: dict[str, Any] = {}
    for _ in range(depth):
        nested = {"not": nested}
    error = await sample.api.refusal(QUERY, filter=nested)
    assert error["extensions"]["code"] in ("QUERY_TOO_COMPLEX", "BAD_USER_INPUT")
    written = "{ events(filter: " + "{ not: " * depth + "{}" + " }" * depth + ") { nodes { id } } }"
    assert (await sample.api.refusal(written))["extensions"]["code"] in ("QUERY_TOO_COMPLEX", "BAD_USER_INPUT")


@pytest.mark.parametrize(
    "hostile", ["$where", "$gt", "$$ROOT", "a.$b", "\0", "a\0b", "..", "__proto__", "🦉", "$", " "]
)
async def test_a_path_or_value_that_looks_like_an_operator_is_taken_literally(sample: SampleApi, hostile: str) -> None:
    for value in (hostile, {hostile: hostile}, [hostile, {hostile: [hostile]}]):
        for condition in ({"path": hostile, "eq": value}, {"path": "name", "in": [value]}):
            assert await found(sample, {"data": [condition]}) == []
    assert await found(sample, {"data": [{"path": "name", "startsWith": hostile}]}) == []
    assert await found(sample, {"data": [{"path": hostile, "exists": True}]}) == []
    assert await found(sample, {"data": [{"path": hostile, "eq": None}]}) == sample.those()
