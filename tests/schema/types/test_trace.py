"""Causes: a conversation as a tree in one answer, however long it is, and what each event caused."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient

from eventscope.store.log import open_log, prepare
from eventscope.store.values import moment
from tests.schema.test_batching import counted
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import START, SampleApi, fill

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = """query ($id: ID!, $first: Int, $after: String) {
  trace(correlationId: $id, first: $first, after: $after) {
    eventCount complete endCursor depth startedAt endedAt durationMillis
    nodes { event { id } depth index parentId parentIndex causeStatus causeMillis effectCount }
  }
}"""


def message(id: str, conversation: str, cause: str | None = None, at: int = 0) -> dict[str, Any]:
    made = {"messageId": id, "type": "step.taken", "correlationId": conversation, "data": {"id": id}}
    more = {} if cause is None else {"causationId": cause}
    return made | more | {"timestamp": moment.to_text(START + at * 1000)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def talks(sample: SampleApi) -> AsyncIterator[RunningApi]:
    """A log of long and odd conversations."""
    settings = sample.settings.model_copy(update={"mongo_database": f"talks_{uuid.uuid4().hex[:12]}"})
    messages = [
        *(message(f"deep{n}", "deep", f"deep{n - 1}" if n else None, n) for n in range(10_000)),
        *(message(f"wide{n}", "wide", "wide0" if n else None, n) for n in range(10_001)),
        message("odd1", "odd", at=10),
        message("odd2", "odd", "odd1", 35),
        message("odd3", "odd", "a command", 40),
        message("odd4", "odd", "wide7", 40),
        message("odd5", "odd", "odd6", 50),
        message("odd6", "odd", "odd5", 49),
        message("odd7", "odd", "odd2", 30),
    ]
    async with open_log(settings.mongo_url, settings.mongo_database) as log:
        await prepare(log)
        await fill(log, [orjson.dumps(one) for one in messages], {"*": 0})
    async with running_api(settings) as api:
        yield api
    async with AsyncMongoClient[dict[str, Any]](settings.mongo_url) as client:
        await client.drop_database(settings.mongo_database)


async def test_a_conversation_is_a_tree_with_the_times_between_cause_and_effect(talks: RunningApi) -> None:
    trace = (await talks.ask(TRACE, id="odd"))["trace"]
    rows = [
        ("odd1", 0, None, "ROOT", None, 1),
        ("odd2", 1, "odd1", "IN_TRACE", 25.0, 1),
        ("odd7", 2, "odd2", "IN_TRACE", -5.0, 0),
        ("odd3", 0, None, "MISSING", None, 0),
        ("odd4", 0, None, "ELSEWHERE", 33.0, 0),
        ("odd5", 0, None, "CYCLE", 1.0, 1),
        ("odd6", 1, "odd5", "IN_TRACE", -1.0, 0),
    ]
    assert [
        (
            *(node["event"]["id"], node["depth"], node["parentId"]),
            *(node["causeStatus"], node["causeMillis"], node["effectCount"]),
        )
        for node in trace.pop("nodes")
    ] == rows
    assert trace == {
        "eventCount": 7,
        "complete": True,
        "endCursor": None,
        "depth": 2,
        "startedAt": "2026-03-02T00:00:00.010000Z",
        "endedAt": "2026-03-02T00:00:00.050000Z",
        "durationMillis": 40.0,
    }


async def test_a_tree_can_be_queried_from_its_roots(talks: RunningApi) -> None:
    query = '{ trace(correlationId: "odd") { roots { ...N effects { ...N effects { ...N } } } } }'
    answer = await talks.ask(f"{query} fragment N on TraceNode {{ event {{ id }} }}")
    first = {"event": {"id": "odd7"}}
    second = {"event": {"id": "odd2"}, "effects": [first]}
    assert answer["trace"]["roots"][0] == {"event": {"id": "odd1"}, "effects": [second]}
    assert [root["event"]["id"] for root in answer["trace"]["roots"]] == ["odd1", "odd3", "odd4", "odd5"]


async def test_a_conversation_of_10000_events_each_caused_by_the_previous_one_fits_into_one_answer(
    talks: RunningApi,
) -> None:
    trace = (await talks.ask(TRACE, id="deep"))["trace"]
    assert (trace["eventCount"], trace["complete"], trace["depth"]) == (10_000, True, 9_999)
    assert [node["event"]["id"] for node in trace["nodes"]] == [f"deep{n}" for n in range(10_000)]
    assert {node["causeMillis"] for node in trace["nodes"][1:]} == {1.0}


async def test_what_does_not_fit_into_one_answer_is_on_the_next_page(talks: RunningApi) -> None:
    first = (await talks.ask(TRACE, id="wide"))["trace"]
    assert (first["eventCount"], first["complete"]) == (10_000, False)
    rest = (await talks.ask(TRACE, id="wide", after=first["endCursor"]))["trace"]
    assert (rest["eventCount"], rest["complete"], rest["endCursor"]) == (1, False, None)
    [last] = rest["nodes"]
    assert (last["event"]["id"], last["causeStatus"], last["causeMillis"]) == ("wide10000", "OTHER_PAGE", 10_000.0)


async def test_a_trace_has_the_requested_length(talks: RunningApi) -> None:
    trace = (await talks.ask(TRACE, id="odd", first=2))["trace"]
    assert [node["event"]["id"] for node in trace["nodes"]] == ["odd1", "odd2"]
    assert (trace["complete"], trace["endCursor"] is None) == (False, False)
    assert (await talks.ask(TRACE, id="odd", first=7))["trace"]["complete"] is True
    assert (await talks.refusal(TRACE, id="odd", first=10_001))["extensions"]["code"] == "PAGE_TOO_LARGE"
    assert (await talks.refusal(TRACE, id="odd", first=0))["extensions"]["code"] == "BAD_USER_INPUT"
    assert (await talks.refusal(TRACE, id="odd", after="x"))["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_conversation_that_never_existed_is_null(talks: RunningApi) -> None:
    assert await talks.ask(TRACE, id="silence") == {"trace": None}


async def test_the_traces_of_an_operation_have_at_most_10000_events_together(talks: RunningApi) -> None:
    two = '{{ a: trace(correlationId: "deep", first: {}) {{ depth }} b: trace(correlationId: "odd") {{ depth }} }}'
    await talks.ask(two.format(9_993))
    answer = await talks.answer(two.format(9_994))
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["QUERY_TOO_COMPLEX"]


async def test_lists_of_a_trace_count_each_time_they_are_selected(talks: RunningApi) -> None:
    error = await talks.refusal('{ trace(correlationId: "deep") { nodes { depth } roots { depth } } }')
    assert error["extensions"] == {"code": "QUERY_TOO_COMPLEX"}


async def test_the_effects_of_an_event_are_those_that_name_it_as_their_cause(sample: SampleApi) -> None:
    answer = await sample.api.ask("{ events(first: 200) { nodes { id effects(first: 40) { nodes { id } } } } }")
    named = [(event.get("causationId"), event["messageId"]) for event in sample.events]
    assert any(len(node["effects"]["nodes"]) > 1 for node in answer["events"]["nodes"])
    for node in answer["events"]["nodes"]:
        assert node["effects"]["nodes"] == [{"id": id} for cause, id in named if cause == node["id"]]


async def test_related_events_are_the_others_of_the_conversation(sample: SampleApi) -> None:
    query = "{ events(first: 200) { nodes { id correlationId related(first: 40) { nodes { id } } } } }"
    for node in (await sample.api.ask(query))["events"]["nodes"]:
        talk, own = node["correlationId"], node["id"]
        others = sample.those(lambda e, talk=talk, own=own: e.get("correlationId") == talk and e["messageId"] != own)  # type: ignore[misc]
        assert node["related"]["nodes"] == [{"id": id} for id in (others if talk else [])]


@pytest.mark.parametrize("list", ["effects", "related"])
async def test_pages_of_effects_and_of_related_events_follow_each_other(talks: RunningApi, list: str) -> None:
    query = """query ($after: String) { event(id: "wide0") { page: LIST(first: 900, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } totalCount { exact atLeast } } } }""".replace("LIST", list)
    found, after = [], None
    while True:
        page = (await talks.ask(query, after=after))["event"]["page"]
        found += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == {"exact": 10_000, "atLeast": 10_000}
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [f"wide{n}" for n in range(1, 10_001)]


async def test_a_page_of_related_events_is_full_whether_the_event_itself_is_among_them_or_not(
    talks: RunningApi,
) -> None:
    query = """query ($id: ID!) { event(id: $id) { related(first: 3) {
      nodes { id } pageInfo { hasNextPage } totalCount { exact } } } }"""
    first, last = [(await talks.ask(query, id=id))["event"]["related"] for id in ("odd2", "odd7")]
    assert first["nodes"] == [{"id": "odd1"}, {"id": "odd3"}, {"id": "odd4"}]
    assert last["nodes"] == [{"id": "odd1"}, {"id": "odd2"}, {"id": "odd3"}]
    assert first["pageInfo"] == last["pageInfo"] == {"hasNextPage": True}
    assert first["totalCount"] == last["totalCount"] == {"exact": 6}


OLDEST = "events(order: OLDEST_FIRST, first: {}) {{ nodes {{ {} }} }}"
LARGE = 2  # commands of a read of what may be large: the driver fetches nothing with the first
READS = {
    OLDEST.format(50, "cause { id } aggregate { id }"): {"events": 2, "aggregates": 1, "meta": 1},
    OLDEST.format(50, "effects(first: 1) { nodes { id } }"): {"events": 1, "meta": LARGE},
    OLDEST.format(50, "related(first: 1) { nodes { id } }"): {"events": 1, "meta": LARGE},
    OLDEST.format(20, "effects(first: 5) { nodes { effects(first: 5) { nodes { id } } } }"): {
        "events": 1,
        "meta": 2 * LARGE,
    },
    OLDEST.format(50, "effects(first: 1) { totalCount { exact } }"): {"events": 1, "meta": LARGE + 1},
    OLDEST.format(50, "related(first: 1) { totalCount { exact } }"): {"events": 1, "meta": LARGE + 1},
    'trace(correlationId: "c1") { nodes { event { id } causeStatus causeMillis } }': {"events": 2},
}


@pytest.mark.parametrize("query", READS)
async def test_one_read_serves_all_events_of_a_list(sample: SampleApi, query: str) -> None:
    async with counted(sample) as reads:
        await sample.api.ask(f"{{ {query} }}")
    assert reads == Counter(READS[query])
