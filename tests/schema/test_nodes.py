"""Nodes: every object with an id can be fetched by it, and is the same as in other queries."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.schema.test_batching import counted
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import SampleApi, fill

EVENT = "id messageId position cursor type timestamp aggregateId version data cause { id }"
AGGREGATE = "id type aggregateId version eventCount lastEventType events(first: 3) { nodes { id } }"
EVENT_TYPE = "id type count perHour aggregateTypes { type count } fields { path }"
REJECTED = "id code reason subject raw"
LOG = "id head firstPosition rejected ingesting"

in_the_world = pytest.mark.asyncio(loop_scope="session")


async def node(api: RunningApi, id: str, on: str, fields: str) -> Any:
    asked = f"query ($id: ID!) {{ node(id: $id) {{ __typename ... on {on} {{ {fields} }} }} }}"
    found = (await api.ask(asked, id=id))["node"]
    assert found.pop("__typename") == on
    return found


@in_the_world
async def test_a_node_equals_the_object_that_the_query_for_its_type_returns(sample: SampleApi) -> None:
    ask = sample.api.ask
    for event in sample.events[::40]:
        asked = f"query ($id: ID!) {{ event(id: $id) {{ {EVENT} }} }}"
        found = (await ask(asked, id=event["messageId"]))["event"]
        assert await node(sample.api, found["id"], "Event", EVENT) == found
    for found in (await ask(f"{{ aggregates(first: 100) {{ nodes {{ {AGGREGATE} }} }} }}"))["aggregates"]["nodes"]:
        assert await node(sample.api, found["id"], "Aggregate", AGGREGATE) == found
        asked = f"query ($type: String!, $id: ID!) {{ aggregate(type: $type, id: $id) {{ {AGGREGATE} }} }}"
        assert (await ask(asked, type=found["type"], id=found["aggregateId"]))["aggregate"] == found
    for found in (await ask(f"{{ eventTypes {{ {EVENT_TYPE} }} }}"))["eventTypes"]:
        again = await node(sample.api, found["id"], "EventType", EVENT_TYPE)
        assert again | {"perHour": 0} == found | {"perHour": 0}  # which depends on the moment
    for found in (await ask(f"{{ rejectedEvents {{ nodes {{ {REJECTED} }} }} }}"))["rejectedEvents"]["nodes"]:
        assert await node(sample.api, found["id"], "RejectedEvent", REJECTED) == found
    found = (await ask(f"{{ log {{ {LOG} }} }}"))["log"]
    assert await node(sample.api, found["id"], "LogStatus", LOG) == found


@in_the_world
@pytest.mark.parametrize(
    "id",
    [
        "",
        "m999",
        "aggregate:",
        "aggregate:user",
        "aggregate:user/",
        "aggregate:user/nobody",
        "aggregate:us%65r/u1",
        "event:m000",
        "event:",
        "event:aggregate:user/u1",
        "type:",
        "type:user",
        "rejected:",
        "rejected:0",
        "rejected:01",
        "rejected:-1",
        "rejected:٣",
        "rejected:99999999999999999999",
        "log:",
        "log:another",
        "\0",
        "x" * 5000,
    ],
)
async def test_an_id_without_an_object_returns_null(sample: SampleApi, id: str) -> None:
    answer = await sample.api.ask("query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }", id=id)
    assert answer == {"node": None, "nodes": [None]}


@in_the_world
async def test_nodes_are_in_the_order_of_their_ids_with_one_read_for_each_type(sample: SampleApi) -> None:
    known = [event["messageId"] for event in sample.events[:30]]
    asked = [*known, "rejected:2", "nothing", "aggregate:user/u1", *known[:2], "rejected:1", "type:user.created"]
    asked += ["aggregate:user/u2", "type:user.updated"]
    async with counted(sample) as reads:
        found = (await sample.api.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=asked))["nodes"]
    assert [one and one["id"] for one in found] == [None if id == "nothing" else id for id in asked]
    del reads["meta"]
    assert reads == {"events": 1, "aggregates": 1, "rejected": 1, "rollups": 1}


@in_the_world
async def test_each_requested_node_counts_against_the_limits(sample: SampleApi) -> None:
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Event { effects(first: 100) { nodes { id } } } } }"
    assert (await sample.api.ask(query, ids=["x"] * 90))["nodes"] == [None] * 90
    refusal = await sample.api.refusal(query, ids=["x"] * 110)
    assert refusal["extensions"]["code"] == "QUERY_TOO_COMPLEX"
    refusal = await sample.api.refusal("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 1001)
    assert refusal["extensions"] == {"code": "BAD_USER_INPUT", "field": "ids"}


@pytest.fixture
async def odd(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over events and aggregates whose ids look like those of others."""
    messages = [
        {"messageId": "42", "aggregateType": "user", "aggregateId": "42"},
        {"messageId": "aggregate:user/42", "aggregateType": "order", "aggregateId": "42"},
        {"messageId": "event:aggregate:user/42", "aggregateType": "a/b", "aggregateId": "c"},
        {"messageId": "event:x", "aggregateType": "a", "aggregateId": "b/c", "causationId": "aggregate:user/42"},
        {"messageId": "rejected:1", "aggregateType": "a%2Fb", "aggregateId": "c", "correlationId": "t"},
        {"messageId": "x", "correlationId": "t", "causationId": "rejected:1"},
    ]
    await fill(log, [b"no json", *(orjson.dumps({"type": "log:", **message}) for message in messages)], {"*": 0})
    async with running_api(settings) as api:
        yield api


async def test_objects_with_the_same_name_have_different_ids_and_are_found_by_them(odd: RunningApi) -> None:
    answer = await odd.ask(
        "{ events(order: OLDEST_FIRST) { nodes { id messageId cause { id } aggregate { id type aggregateId } } }"
        " rejectedEvents { nodes { id } } eventTypes { id } log { id } }"
    )
    events = answer["events"]["nodes"]
    ids = [event["id"] for event in events]
    assert ids[:3] == ["42", "event:aggregate:user/42", "event:event:aggregate:user/42"]
    assert events[3]["cause"] == {"id": "event:aggregate:user/42"}
    ids += [event["aggregate"]["id"] for event in events[:5]]
    ids += [one["id"] for one in answer["rejectedEvents"]["nodes"] + answer["eventTypes"] + [answer["log"]]]
    assert len(set(ids)) == len(ids) == 6 + 5 + 1 + 1 + 1
    found = (await odd.ask("query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", ids=ids))["nodes"]
    assert [one["id"] for one in found] == ids
    for event in events:
        again = (await odd.ask("query ($id: ID!) { event(id: $id) { messageId } }", id=event["id"]))["event"]
        assert again == {"messageId": event["messageId"]}
        listed = await odd.ask("query ($id: ID!) { events(filter: {ids: [$id]}) { nodes { id } } }", id=event["id"])
        assert [one["id"] for one in listed["events"]["nodes"]] == [event["id"]]


async def test_a_trace_names_the_parent_by_its_id(odd: RunningApi) -> None:
    nodes = (await odd.ask('{ trace(correlationId: "t") { nodes { parentId event { id } } } }'))["trace"]["nodes"]
    assert [node["parentId"] for node in nodes] == [None, nodes[0]["event"]["id"]]
    assert nodes[0]["event"]["id"] == "event:rejected:1"
