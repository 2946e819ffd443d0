"""Lists of events: pages by key, in both directions and orders; together they hold exactly the matching events."""

from dataclasses import replace
from math import ceil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventscope.resolvers import cursor, same_log
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.schema.support.event_model import filters, means
from tests.support.api_server import running_api
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = """query ($filter: EventFilter, $order: Order, $first: Int, $after: String, $last: Int, $before: String) {
  events(filter: $filter, order: $order, first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id cursor } }
    nodes { id }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount { atLeast exact }
  }
}"""
EVERY_FIELD = """id position cursor type timestamp recordedAt aggregateType aggregateId version claimedVersion userId
  correlationId causationId data metadata extensions expiresAt"""


async def page(sample: SampleApi, **asked: Any) -> Any:
    """One page, checked for consistency."""
    found = (await sample.api.ask(PAGE, **asked))["events"]
    assert found["nodes"] == [{"id": edge["node"]["id"]} for edge in found["edges"]]
    assert all(edge["cursor"] == edge["node"]["cursor"] for edge in found["edges"])
    ends = [edge["cursor"] for edge in found["edges"]] or [None]
    assert (found["pageInfo"]["startCursor"], found["pageInfo"]["endCursor"]) == (ends[0], ends[-1])
    return found


async def forwards(sample: SampleApi, size: int, **asked: Any) -> list[list[str]]:
    """All pages from the start of the list to its end."""
    pages, after = [], None
    while True:
        found = await page(sample, first=size, after=after, **asked)
        assert found["pageInfo"]["hasPreviousPage"] == (after is not None)
        pages.append([node["id"] for node in found["nodes"]])
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            return pages


async def backwards(sample: SampleApi, size: int, **asked: Any) -> list[list[str]]:
    """All pages from the end of the list to its start, each in the order of the list."""
    pages, before = [], None
    while True:
        found = await page(sample, last=size, before=before, **asked)
        assert found["pageInfo"]["hasNextPage"] == (before is not None)
        pages.append([node["id"] for node in found["nodes"]])
        before = found["pageInfo"]["startCursor"]
        if not found["pageInfo"]["hasPreviousPage"]:
            return pages


def joined(pages: list[list[str]]) -> list[str]:
    return [id for page in pages for id in page]


async def test_an_event_has_everything_that_was_published(sample: SampleApi) -> None:
    answer = await sample.api.ask(f"{{ events(order: OLDEST_FIRST, first: 1000) {{ nodes {{ {EVERY_FIELD} }} }} }}")
    assert answer["events"]["nodes"] == [as_told(event, await same_log.tag(sample.log)) for event in sample.events]


def as_told(event: EventDocument, tag: str | None) -> dict[str, Any]:
    names = ["aggregateType", "aggregateId", "version", "claimedVersion", "userId", "correlationId", "causationId"]
    expiry = event.get("expireAt")
    return {
        "id": event["messageId"],
        "position": event["_id"],
        "cursor": cursor.encode("e", event["_id"], tag=tag),
        "type": event["type"],
        "timestamp": moment.to_text(event["timestamp"]),
        "recordedAt": moment.to_text(event["recordedAt"]),
        "expiresAt": None if expiry is None else expiry.isoformat() + "Z",
        **{name: event.get(name) for name in [*names, "data", "metadata", "extensions"]},
    }


async def test_the_log_of_these_tests_contains_what_they_rely_on(sample: SampleApi) -> None:
    assert len(sample.events) > 250
    assert any("expireAt" in event for event in sample.events)
    assert any("extensions" in event for event in sample.events)
    assert {"version" in event for event in sample.events if "claimedVersion" in event} == {True, False}
    assert max(event.get("claimedVersion", 0) for event in sample.events) == 2**63 - 1
    times = [event["timestamp"] for event in sample.events]
    assert times != sorted(times)


async def test_one_event_is_found_by_its_id(sample: SampleApi) -> None:
    answer = await sample.api.ask('{ event(id: "m007") { id position } }')
    assert answer == {"event": {"id": "m007", "position": sample.events[sample.those().index("m007")]["_id"]}}


async def test_an_event_that_never_existed_is_null(sample: SampleApi) -> None:
    assert await sample.api.ask('{ event(id: "nothing") { id } }') == {"event": None}


async def test_an_expired_event_is_in_no_answer(sample: SampleApi) -> None:
    assert len(sample.events) < 300  # this many were stored, and the missing ones have expired
    gone = ({f"m{n:03}" for n in range(300)} - set(sample.those())).pop()
    answer = await sample.api.ask(
        """query ($id: ID!) {
          event(id: $id) { id }
          events(filter: { ids: [$id] }) { nodes { id } totalCount { exact } }
          all: events { totalCount { exact } }
          replay(filter: { eventTypes: ["session.*"] }) { nodes { id } totalCount { exact } }
          stats(filter: { eventTypes: ["session.*"] }) { totalEvents timeRange { earliest } histogram { count } }
        }""",
        id=gone,
    )
    assert answer == {
        "event": None,
        "events": {"nodes": [], "totalCount": {"exact": 0}},
        "all": {"totalCount": {"exact": len(sample.events)}},
        "replay": {"nodes": [], "totalCount": {"exact": 0}},
        "stats": {"totalEvents": 0, "timeRange": None, "histogram": []},
    }


async def test_without_a_size_a_page_has_the_newest_fifty(sample: SampleApi) -> None:
    found = await page(sample)
    assert [node["id"] for node in found["nodes"]] == sample.those()[:-51:-1]


@pytest.mark.parametrize("size", [17, 100, 281, 1000])
async def test_paging_forwards_gives_the_whole_log_and_the_reverse_of_paging_backwards(
    sample: SampleApi, size: int
) -> None:
    for order, whole in (("OLDEST_FIRST", sample.those()), ("NEWEST_FIRST", sample.those()[::-1])):
        there = await forwards(sample, size, order=order)
        back = await backwards(sample, size, order=order)
        assert joined(there) == joined(back[::-1]) == whole
        assert len(there) == len(back) == ceil(len(whole) / size)
        assert all(len(one) == size for one in there[:-1] + back[:-1])


@given(filter=filters, size=st.integers(5, 300), newest_first=st.booleans(), back=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_the_pages_of_any_filter_contain_exactly_what_matches(
    sample: SampleApi, filter: dict[str, Any], size: int, newest_first: bool, back: bool
) -> None:
    wanted = sample.those(lambda event: means(filter, event))
    order = "NEWEST_FIRST" if newest_first else "OLDEST_FIRST"
    pages = await (backwards if back else forwards)(sample, size, filter=filter, order=order)
    assert joined(pages[::-1] if back else pages) == (wanted[::-1] if newest_first else wanted)
    counted = await sample.api.ask("query ($f: EventFilter) { events(filter: $f) { totalCount { exact } } }", f=filter)
    assert counted["events"]["totalCount"]["exact"] == len(wanted)


async def test_a_page_between_two_cursors_is_counted_from_the_requested_end(sample: SampleApi) -> None:
    ids = sample.those()
    tag = await same_log.tag(sample.log)
    at = {event["messageId"]: cursor.encode("e", event["_id"], tag=tag) for event in sample.events}
    ends = {"after": at[ids[10]], "before": at[ids[20]], "order": "OLDEST_FIRST"}
    first = await page(sample, first=3, **ends)
    assert [node["id"] for node in first["nodes"]] == ids[11:14]
    last = await page(sample, last=3, **ends)
    assert [node["id"] for node in last["nodes"]] == ids[17:20]
    whole = await page(sample, first=50, **ends)
    assert [node["id"] for node in whole["nodes"]] == ids[11:20]


async def test_a_page_of_size_zero_is_empty_and_says_that_there_is_more(sample: SampleApi) -> None:
    found = await page(sample, first=0)
    assert found["nodes"] == []
    assert found["pageInfo"]["hasNextPage"]


async def test_after_the_last_event_there_is_an_empty_page(sample: SampleApi) -> None:
    end = cursor.encode("e", sample.events[-1]["_id"], tag=await same_log.tag(sample.log))
    found = await page(sample, order="OLDEST_FIRST", after=end)
    assert found["nodes"] == []
    assert not found["pageInfo"]["hasNextPage"]


async def test_the_total_is_that_of_the_whole_list_and_not_of_the_page(sample: SampleApi) -> None:
    filter = {"eventTypes": ["user.*"], "fromTimestamp": "2026-03-10T00:00:00Z"}
    found = await page(sample, first=3, filter=filter)
    n = len(sample.those(lambda event: means(filter, event)))
    assert found["totalCount"] == {"atLeast": n, "exact": n}


async def test_a_total_beyond_the_limit_is_marked_as_such(sample: SampleApi) -> None:
    by_one_user = sample.those(lambda event: event.get("userId") == "alice")
    assert len(by_one_user) > 30
    async with running_api(sample.settings, SearchLimits(most_counted=30)) as api:
        strict = replace(sample, api=api)
        assert (await page(strict, filter={"userId": "alice"}))["totalCount"] == {"atLeast": 30, "exact": None}
        # rollups know these, however many there are
        assert (await page(strict, filter={"eventTypes": ["*"]}))["totalCount"]["exact"] == len(sample.events)
