"""Replays: the log in order, as it was when the first page was read, whatever arrives meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.resolvers import cursor, same_log
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.schema.support.event_model import means
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import SampleApi
from tests.support.until import until

QUERY = """query ($filter: EventFilter, $first: Int, $after: String, $upTo: String) {
  replay(filter: $filter, first: $first, after: $after, upTo: $upTo) {
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage endCursor }
    totalCount { exact }
  }
}"""


async def page(api: RunningApi, **asked: Any) -> tuple[list[str], Any]:
    replay = (await api.ask(QUERY, **asked))["replay"]
    return [node["id"] for node in replay["nodes"]], replay


async def whole(api: RunningApi, size: int, **asked: Any) -> list[str]:
    ids, replay = await page(api, first=size, **asked)
    while replay["pageInfo"]["hasNextPage"]:
        more, replay = await page(api, first=size, **asked | {"after": replay["pageInfo"]["endCursor"]})
        assert replay["pageInfo"]["hasPreviousPage"]
        ids += more
    return ids


@pytest.fixture
async def alone(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    """An API over a log of its own, with an ingester at work."""
    async with running_api(settings) as api:
        yield api


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("size", [30, 281, 1000])
async def test_a_replay_returns_every_event_in_log_order(sample: SampleApi, size: int) -> None:
    assert await whole(sample.api, size) == sample.those()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_with_a_filter_returns_what_matches(sample: SampleApi) -> None:
    filter = {"eventTypes": ["user.*"], "userId": "bob"}
    assert await whole(sample.api, 10, filter=filter) == sample.those(lambda event: means(filter, event))


@pytest.mark.asyncio(loop_scope="session")
async def test_a_replay_ends_with_the_event_at_the_cursor_given_as_its_end(sample: SampleApi) -> None:
    last = sample.events[99]
    ids = await whole(sample.api, 40, upTo=cursor.encode("e", last["_id"], tag=await same_log.tag(sample.log)))
    assert ids == sample.those()[:100]
    end = cursor.encode("e", 10**15, tag=await same_log.tag(sample.log))
    assert await whole(sample.api, 40, upTo=end) == sample.those()


@pytest.mark.asyncio(loop_scope="session")
async def test_a_cursor_of_a_replay_resumes_a_list_of_events_too(sample: SampleApi) -> None:
    _, replay = await page(sample.api, first=20)
    after = replay["pageInfo"]["endCursor"]
    query = "query ($after: String) { events(order: OLDEST_FIRST, first: 5, after: $after) { nodes { id } } }"
    answer = await sample.api.ask(query, after=after)
    assert [node["id"] for node in answer["events"]["nodes"]] == sample.those()[20:25]
    # and the other way round, then pinned to the present head
    start = cursor.encode("e", sample.events[19]["_id"], tag=await same_log.tag(sample.log))
    ids, _ = await page(sample.api, first=5, after=start)
    assert ids == sample.those()[20:25]


async def test_a_replay_stays_as_it_was_at_its_first_page_whatever_arrives(
    alone: RunningApi, client: Client, subject_prefix: str, log: Log
) -> None:
    await publish(client, subject_prefix, range(30), log)
    ids, replay = await page(alone, first=10)
    await publish(client, subject_prefix, range(30, 50), log)
    while replay["pageInfo"]["hasNextPage"]:
        assert replay["totalCount"] == {"exact": 30}
        more, replay = await page(alone, first=10, after=replay["pageInfo"]["endCursor"])
        ids += more
    assert ids == [f"p{n}" for n in range(30)]
    assert await whole(alone, 10) == [f"p{n}" for n in range(50)]


async def test_paging_neither_repeats_nor_skips_events_when_new_ones_arrive(
    alone: RunningApi, client: Client, subject_prefix: str, log: Log
) -> None:
    query = "query ($after: String) { events(first: 10, after: $after) { nodes { id } pageInfo { endCursor } } }"
    await publish(client, subject_prefix, range(20), log)
    first = (await alone.ask(query))["events"]
    await publish(client, subject_prefix, range(20, 40), log)
    second = (await alone.ask(query, after=first["pageInfo"]["endCursor"]))["events"]
    assert [node["id"] for node in first["nodes"] + second["nodes"]] == [f"p{n}" for n in range(19, -1, -1)]


async def publish(client: Client, prefix: str, numbers: range, log: Log) -> None:
    """Publish events with these numbers, and wait until the log has them."""
    for n in numbers:
        await client.publish(f"{prefix}.thing.happened", orjson.dumps({"messageId": f"p{n}", "data": {"n": n}}))

    async def there() -> bool:
        return (await checkpoint.read(log)).head == numbers.stop

    await until(there)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("cursor", ["e1-ffffffff", "e2-1", "e01"])
async def test_a_cursor_that_no_replay_of_this_log_issues_is_refused(sample: SampleApi, cursor: str) -> None:
    error = await sample.api.refusal("query ($after: String) { replay(after: $after) { nodes { id } } }", after=cursor)
    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("BAD_USER_INPUT", "after")
