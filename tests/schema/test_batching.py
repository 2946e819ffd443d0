"""One read for all events of a page: MongoDB itself counts the reads."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventscope.resolvers import same_log
from eventscope.resolvers.cursor import encode
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def counted(sample: SampleApi) -> AsyncIterator[Counter[str]]:
    """How often each collection is read within the block; filled in at its end."""
    database, reads = sample.log.mongo.database, Counter[str]()
    await database.command("profile", 2)
    try:
        yield reads
    finally:
        await database.command("profile", 0)
        rows = await database["system.profile"].find({}).to_list(None)
        await database.drop_collection("system.profile")
    for row in rows:
        for kind in ("find", "aggregate", "count", "distinct", "getMore"):
            if kind in row.get("command", {}):
                reads[row["ns"].partition(".")[2]] += 1


async def test_the_aggregates_of_a_page_of_events_are_one_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        answer = await sample.api.ask("{ events(first: 100) { nodes { aggregate { version } } } }")
    assert sum(node["aggregate"] is not None for node in answer["events"]["nodes"]) > 50
    assert (reads["events"], reads["aggregates"]) == (1, 1)


async def test_the_causes_of_a_page_of_events_are_one_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        answer = await sample.api.ask("{ events(first: 100) { nodes { cause { id } } } }")
    assert sum(node["cause"] is not None for node in answer["events"]["nodes"]) > 20
    assert reads["events"] == 2


async def test_each_step_back_along_causes_is_one_more_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        await sample.api.ask("{ events(first: 100) { nodes { cause { cause { cause { id } } } } } }")
    assert reads["events"] == 4


async def test_what_is_not_selected_is_not_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        await sample.api.ask('{ events(filter: { userId: "alice" }) { nodes { id } pageInfo { hasNextPage } } }')
    assert reads == {"events": 1}
    async with counted(sample) as reads:
        await sample.api.ask("{ stats { totalEvents eventTypeBreakdown { type } timeRange { latest } } }")
    assert reads == {"rollups": 1}


async def test_a_cursor_that_is_not_ours_is_refused_before_anything_is_read(sample: SampleApi) -> None:
    async with counted(sample) as reads:
        await sample.api.refusal('{ events(after: "x") { nodes { id } } }')
        await sample.api.refusal('{ replay(upTo: "a1", after: "e5-6") { nodes { id } } }')
        await sample.api.refusal('{ aggregates(after: "e1") { nodes { id } } }')
    assert reads == {}


async def test_a_cause_is_the_event_with_that_id_or_null(sample: SampleApi) -> None:
    answer = await sample.api.ask("{ events(first: 1000, order: OLDEST_FIRST) { nodes { causationId cause { id } } } }")
    known = set(sample.those())
    wanted = [event.get("causationId") for event in sample.events]
    assert "command-1" in wanted
    assert answer["events"]["nodes"] == [
        {"causationId": id, "cause": {"id": id} if id in known else None} for id in wanted
    ]


async def test_an_error_in_one_list_does_not_affect_another_that_shares_its_read(sample: SampleApi) -> None:
    same = "aggregate { id } cause { id }"
    failing = f"{same} effects(first: -1) {{ nodes {{ id }} }}"
    lists = [f'event(id: "m010") {{ related(first: 9) {{ nodes {{ {one} }} }} }}' for one in (failing, same)]
    answer = await sample.api.answer(f"{{ a: {lists[0]} b: {lists[1]} }}")
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]
    assert answer["data"]["a"] is None
    assert any(node["aggregate"] for node in answer["data"]["b"]["related"]["nodes"])


@pytest.mark.parametrize("order", ["OLDEST_FIRST", "NEWEST_FIRST"])
async def test_the_events_of_a_page_of_aggregates_are_one_read_for_each_type(sample: SampleApi, order: str) -> None:
    fields = "totalCount { exact } pageInfo { hasNextPage endCursor } nodes { id }"
    events = f"events(order: {order}, first: 2) {{ {fields} }}"
    async with counted(sample) as reads:
        answer = await sample.api.ask(f"{{ aggregates(first: 50) {{ nodes {{ type aggregateId {events} }} }} }}")
    nodes = answer["aggregates"]["nodes"]
    # the list ends here, so the log is checked to be the same
    assert reads["meta"] == 1 + 2 * len({node["type"] for node in nodes}) < len(nodes)
    for node in nodes:
        one = f"query Q($type: String!, $id: ID!) {{ aggregate(type: $type, id: $id) {{ {events} }} }}"
        alone = await sample.api.ask(one, type=node["type"], id=node["aggregateId"])
        assert alone["aggregate"]["events"] == node["events"]


async def test_the_events_of_many_aggregates_continue_after_a_cursor(sample: SampleApi) -> None:
    for order in ("OLDEST_FIRST", "NEWEST_FIRST"):
        middle = sample.events[len(sample.events) // 2]["_id"]
        cursor = encode("e", middle, tag=await same_log.tag(sample.log))
        events = f'events(order: {order}, after: "{cursor}") {{ nodes {{ position }} }}'
        answer = await sample.api.ask(f"{{ aggregates(first: 50) {{ nodes {{ type aggregateId {events} }} }} }}")
        for node in answer["aggregates"]["nodes"]:
            positions = [
                event["_id"]
                for event in sample.events
                if (event.get("aggregateType"), event.get("aggregateId")) == (node["type"], node["aggregateId"])
            ]
            later, earlier = [p for p in positions if p > middle], [p for p in positions[::-1] if p < middle]
            wanted = later if order == "OLDEST_FIRST" else earlier
            assert [event["position"] for event in node["events"]["nodes"]] == wanted[:50]
