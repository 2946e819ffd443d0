"""One read for all events of a page: MongoDB itself counts the reads."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventscope.errors import QuestionTimedOut, TooComplex
from eventscope.resolvers import aggregates, same_log
from eventscope.resolvers.aggregates import OwnEventsRequest
from eventscope.resolvers.cursor import encode
from eventscope.resolvers.page import request
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.events import links
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "events(first: 1) { nodes { position } }"
USERS = ("user", "u1"), ("user", "u2")


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


def together(one: str, other: str) -> str:
    """A query for `one` of an aggregate and `other` of another, whose pages of events are in one batch."""
    names = [f'node(id: "aggregate:{type}/{id}")' for type, id in USERS]
    return f"{{ a: {names[0]} {{ ... on Aggregate {{ {one} }} }} b: {names[1]} {{ ... on Aggregate {{ {other} }} }} }}"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('after: "x"', "BAD_USER_INPUT"),
        ('after: "a1"', "BAD_USER_INPUT"),
        ('after: "e1.other"', "WRONG_LOG"),
        ("first: -1", "BAD_USER_INPUT"),
        ("first: 1001", "PAGE_TOO_LARGE"),
    ],
)
async def test_a_refused_page_does_not_affect_another_of_its_batch(
    sample: SampleApi, arguments: str, code: str
) -> None:
    wanted = await sample.api.ask(together(PAGE, PAGE))
    refused = f"events({arguments}) {{ nodes {{ position }} }}"
    for query, failing, other in ((together(PAGE, refused), "b", "a"), (together(refused, PAGE), "a", "b")):
        answer = await sample.api.answer(query)
        errors = [(error["extensions"]["code"], error["path"]) for error in answer["errors"]]
        assert errors == [(code, [failing, "events"])]
        assert answer["data"] == {failing: None, other: wanted[other]}


async def test_the_same_events_with_other_fields_are_the_same_page(sample: SampleApi) -> None:
    pages = "one: events { nodes { position } } other: events { totalCount { exact } nodes { position data } }"
    answer = await sample.api.ask(f'{{ aggregate(type: "user", id: "u1") {{ {pages} }} }}')
    found = [[node["position"] for node in answer["aggregate"][name]["nodes"]] for name in ("one", "other")]
    assert found[0] == found[1] == sorted(set(found[0]))


@asynccontextmanager
async def failing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Let the reads of linked events fail within the block, except those of the smallest pages."""
    by_link = links.by_link

    async def read(*arguments: Any, limit: int, **more: Any) -> Any:
        if limit > 3:
            raise error
        return await by_link(*arguments, limit=limit, **more)

    with monkeypatch.context() as patch:
        patch.setattr(links, "by_link", read)
        yield


@pytest.mark.parametrize("large_first", [True, False])
async def test_a_read_that_is_too_large_does_not_affect_another_of_its_batch(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch, large_first: bool
) -> None:
    sizes = (9, 1) if large_first else (1, 9)
    lists = [f'node(id: "m010") {{ ... on Event {{ related(first: {n}) {{ nodes {{ id }} }} }} }}' for n in sizes]
    async with failing(TooComplex("too large"), monkeypatch):
        events = [
            OwnEventsRequest(one, request(size, None), False, None) for size in sizes for one in await users(sample)
        ]
        pages = await aggregates.own_events(sample.log, events)
        answer = await sample.api.answer(f"{{ a: {lists[0]} b: {lists[1]} }}")
    refused = [isinstance(page, TooComplex) for page in pages]
    assert refused == [large_first, large_first, not large_first, not large_first]
    large, small = "ab" if large_first else "ba"
    assert [error["path"] for error in answer["errors"]] == [[large, "related"]]
    assert answer["data"][large] is None
    assert answer["data"][small] is not None


async def test_a_read_that_takes_too_long_fails_for_all_of_its_batch(
    sample: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [OwnEventsRequest(one, request(size, None), False, None) for size in (1, 9) for one in await users(sample)]
    async with failing(QuestionTimedOut(1), monkeypatch):
        with pytest.raises(QuestionTimedOut):
            await aggregates.own_events(sample.log, events)


async def users(sample: SampleApi) -> list[AggregateSummary]:
    """Two aggregates."""
    return [one for one in await aggregates.by_name(sample.log, list(USERS)) if one is not None]
