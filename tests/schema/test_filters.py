"""Filters: what each field means, alone, and that what a caller writes is only ever a value."""

from typing import Any

import pytest

from eventscope.store import moment
from tests.app.world import IDS, World
from tests.schema.model import means

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUERY = """query ($filter: EventFilter) {
  events(filter: $filter, order: OLDEST_FIRST, first: 1000) { nodes { id } }
}"""


async def found(world: World, filter: dict[str, Any]) -> list[str]:
    answer = await world.api.ask(QUERY, filter=filter)
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
        ("fromPosition", 123),
        ("toPosition", 123),
        ("fromVersion", 7),
        ("toVersion", 2),
    ],
)
async def test_each_field_means_what_it_says(world: World, field: str, value: object) -> None:
    wanted = world.those(lambda event: means({field: value}, event))
    assert 0 < len(wanted) < len(world.events)
    assert await found(world, {field: value}) == wanted


async def test_all_fields_must_hold_together(world: World) -> None:
    filter = {"aggregateType": "user", "eventTypes": ["*.updated"], "userId": "alice", "fromVersion": 3}
    wanted = world.those(lambda event: means(filter, event))
    assert wanted
    assert await found(world, filter) == wanted


async def test_a_star_in_an_event_type_stands_for_any_text_and_nothing_else_is_special(world: World) -> None:
    assert await found(world, {"eventTypes": ["user.*"]}) == world.those(lambda e: e["type"].startswith("user."))
    assert await found(world, {"eventTypes": ["*.deleted"]}) == world.those(lambda e: e["type"].endswith(".deleted"))
    assert await found(world, {"eventTypes": ["*"]}) == world.those()
    assert await found(world, {"eventTypes": ["user"]}) == []
    assert await found(world, {"eventTypes": ["use..created"]}) == []
    assert await found(world, {"eventTypes": ["user.*", "user.created"]}) == await found(
        world, {"eventTypes": ["user.*"]}
    )


@pytest.mark.parametrize("list", ["ids", "eventTypes", "aggregateTypes", "aggregateIds"])
async def test_an_empty_list_means_no_event(world: World, list: str) -> None:
    assert await found(world, {list: []}) == []


async def test_a_field_that_is_null_is_left_open(world: World) -> None:
    assert await found(world, {"userId": None, "ids": None, "fromTimestamp": None}) == world.those()
    assert (await world.api.ask("{ events(filter: null, order: null, first: null) { nodes { id } } }"))["events"]


async def test_both_ends_of_a_range_are_included(world: World) -> None:
    one = next(event for event in world.events if "version" in event and event["timestamp"] % 1_000_000)
    moment_text = moment.to_text(one["timestamp"])
    at_that_time = world.those(lambda event: event["timestamp"] == one["timestamp"])
    assert await found(world, {"fromTimestamp": moment_text, "toTimestamp": moment_text}) == at_that_time
    assert await found(world, {"fromPosition": one["_id"], "toPosition": one["_id"]}) == [one["messageId"]]
    of_that_version = world.those(lambda event: event.get("version") == one["version"])
    assert await found(world, {"fromVersion": one["version"], "toVersion": one["version"]}) == of_that_version


async def test_a_range_that_ends_before_it_begins_holds_nothing(world: World) -> None:
    assert await found(world, {"fromPosition": 9, "toPosition": 8}) == []
    assert await found(world, {"fromTimestamp": "2026-03-09", "toTimestamp": "2026-03-08"}) == []


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("2026-03-10T12:00:00", "2026-03-10T12:00:00Z"),
        ("2026-03-10T14:00:00+02:00", "2026-03-10T12:00:00Z"),
        ("2026-03-10", "2026-03-10T00:00:00Z"),
        ("2026-03-10T12:00:00.000000Z", "2026-03-10T12:00:00Z"),
    ],
)
async def test_a_time_may_be_written_in_several_ways(world: World, written: str, same: str) -> None:
    assert await found(world, {"fromTimestamp": written}) == await found(world, {"fromTimestamp": same})


async def test_a_position_may_be_written_as_text(world: World) -> None:
    assert await found(world, {"fromPosition": "123"}) == await found(world, {"fromPosition": 123})


@pytest.mark.parametrize("hostile", IDS["file"])
async def test_an_id_that_looks_like_an_operator_or_a_pattern_is_only_that_id(world: World, hostile: str) -> None:
    wanted = world.those(lambda event: event.get("aggregateId") == hostile)
    assert wanted
    assert await found(world, {"aggregateId": hostile}) == wanted
    assert await found(world, {"aggregateIds": [hostile, hostile]}) == wanted


@pytest.mark.parametrize("hostile", ['{"$gt": ""}', ".*", "a\0b", "$where", "(", "\\", "{'$ne': null}", "\u202e", ""])
async def test_a_text_that_looks_like_an_operator_or_a_pattern_finds_nothing_else(world: World, hostile: str) -> None:
    for field in ("userId", "correlationId", "causationId", "aggregateType"):
        assert await found(world, {field: hostile}) == []
    for field in ("ids", "eventTypes", "aggregateTypes"):
        assert await found(world, {field: [hostile]}) == []
    assert await found(world, {"eventTypes": [hostile + "*x"]}) == []
    answer = await world.api.ask(
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


async def test_an_object_where_a_text_belongs_is_refused(world: World) -> None:
    for hostile in ({"$gt": ""}, ["a"], 5.5, True):
        error = await world.api.refusal(QUERY, filter={"userId": hostile})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
