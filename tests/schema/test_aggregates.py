"""Aggregates: their heads, their events, and lists of aggregates."""

from typing import Any

import pytest

from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.support.api_server import running_api
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEAD = "id type aggregateId version eventCount firstEventAt lastEventAt lastEventType deleted"
ONE = f"query ($type: String!, $id: ID!) {{ aggregate(type: $type, id: $id) {{ {HEAD} }} }}"
PAGE = f"""query ($filter: AggregateFilter, $order: AggregateOrder, $first: Int, $after: String) {{
  aggregates(filter: $filter, order: $order, first: $first, after: $after) {{
    edges {{ cursor }} nodes {{ {HEAD} }} pageInfo {{ hasNextPage endCursor }} totalCount {{ atLeast exact }}
  }}
}}"""
EVENTS = """query ($type: String!, $id: ID!, $order: Order, $first: Int, $after: String) {
  aggregate(type: $type, id: $id) {
    events(order: $order, first: $first, after: $after) {
      nodes { id version } pageInfo { hasNextPage endCursor } totalCount { exact }
    }
  }
}"""


def heads(sample: SampleApi) -> dict[tuple[str, str], dict[str, Any]]:
    """The heads, computed again from the events."""
    folded: dict[tuple[str, str], dict[str, Any]] = {}
    for event in sample.events:
        if "aggregateType" in event:
            key = (event["aggregateType"], event["aggregateId"])
            folded[key] = advanced(folded.get(key), event)
    return folded


def advanced(head: dict[str, Any] | None, event: EventDocument) -> dict[str, Any]:
    type, time = event["aggregateType"], moment.to_text(event["timestamp"])
    deleted = head is not None and head["deleted"]
    if event["type"].count(".") == 1 and event["type"].startswith(f"{type}."):
        deleted = event["type"] == f"{type}.deleted" or (deleted and event["type"] != f"{type}.created")
    return {
        "id": f"aggregate:{type}/{event['aggregateId']}",
        "type": type,
        "aggregateId": event["aggregateId"],
        "version": 1 if head is None else head["version"] + 1,
        "eventCount": 1 if head is None else head["eventCount"] + 1,
        "firstEventAt": time if head is None else head["firstEventAt"],
        "lastEventAt": time,
        "lastEventType": event["type"],
        "deleted": deleted,
    }


def in_order(sample: SampleApi, order: str) -> list[dict[str, Any]]:
    """The heads, the most recently changed or created first."""
    newest_first = sample.events[::-1] if order == "RECENTLY_CHANGED" else sample.events
    keys = [(event["aggregateType"], event["aggregateId"]) for event in newest_first if "aggregateType" in event]
    names = list(dict.fromkeys(keys))
    found = heads(sample)
    return [found[name] for name in (names if order == "RECENTLY_CHANGED" else names[::-1])]


async def listed(sample: SampleApi, size: int = 1000, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await sample.api.ask(PAGE, first=size, after=after, **asked))["aggregates"]
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


async def test_a_head_is_what_its_events_add_up_to(sample: SampleApi) -> None:
    for (type, id), head in heads(sample).items():
        assert await sample.api.ask(ONE, type=type, id=id) == {"aggregate": head}


async def test_an_aggregate_that_never_existed_is_null(sample: SampleApi) -> None:
    assert await sample.api.ask(ONE, type="user", id="nobody") == {"aggregate": None}
    assert await sample.api.ask(ONE, type="vendor", id="u1") == {"aggregate": None}


@pytest.mark.parametrize("order", ["RECENTLY_CHANGED", "RECENTLY_CREATED"])
@pytest.mark.parametrize("size", [4, 1000])
async def test_the_pages_in_either_order_contain_all_aggregates(sample: SampleApi, order: str, size: int) -> None:
    assert await listed(sample, size, order=order) == in_order(sample, order)


@pytest.mark.parametrize(
    "filter",
    [
        {"type": "user"},
        {"types": ["file", "vendor"]},
        {"types": []},
        {"type": "user", "types": ["user", "vendor"]},
        {"type": "user", "types": ["vendor"]},
        {"ids": ["u1", "v2", "nothing"]},
        {"type": "user", "ids": ["u1", "v2"]},
        {"deleted": True},
        {"deleted": False, "type": "user"},
    ],
)
async def test_a_filter_selects_exactly_the_aggregates_that_match(sample: SampleApi, filter: dict[str, Any]) -> None:
    wanted = [head for head in in_order(sample, "RECENTLY_CHANGED") if means(filter, head)]
    assert await listed(sample, 3, filter=filter) == wanted
    counted = await sample.api.ask(PAGE, filter=filter)
    assert counted["aggregates"]["totalCount"] == {"atLeast": len(wanted), "exact": len(wanted)}


def means(filter: dict[str, Any], head: dict[str, Any]) -> bool:
    return (
        filter.get("type", head["type"]) == head["type"]
        and head["type"] in filter.get("types", [head["type"]])
        and head["aggregateId"] in filter.get("ids", [head["aggregateId"]])
        and filter.get("deleted", head["deleted"]) == head["deleted"]
    )


async def test_some_aggregates_are_deleted_and_some_are_not(sample: SampleApi) -> None:
    assert {head["deleted"] for head in heads(sample).values()} == {True, False}


async def test_a_total_beyond_the_limit_is_marked_as_such(sample: SampleApi) -> None:
    async with running_api(sample.settings, SearchLimits(most_counted=5)) as api:
        answer = await api.ask(PAGE)
    assert answer["aggregates"]["totalCount"] == {"atLeast": 5, "exact": None}


@pytest.mark.parametrize("order", ["OLDEST_FIRST", "NEWEST_FIRST"])
async def test_an_aggregate_lists_its_own_events_in_pages(sample: SampleApi, order: str) -> None:
    mine = [e for e in sample.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u2"]
    wanted = [{"id": event["messageId"], "version": n} for n, event in enumerate(mine, start=1)]
    found: list[Any] = []
    page: Any = {"pageInfo": {"hasNextPage": True, "endCursor": None}}
    while page["pageInfo"]["hasNextPage"]:
        after = page["pageInfo"]["endCursor"]
        answer = await sample.api.ask(EVENTS, type="user", id="u2", order=order, first=4, after=after)
        page = answer["aggregate"]["events"]
        assert page["totalCount"] == {"exact": len(wanted)}
        found += page["nodes"]
    assert found == (wanted if order == "OLDEST_FIRST" else wanted[::-1])


async def test_an_event_leads_to_its_aggregate(sample: SampleApi) -> None:
    answer = await sample.api.ask(
        f"{{ events(first: 1000, order: OLDEST_FIRST) {{ nodes {{ id aggregate {{ {HEAD} }} }} }} }}"
    )
    found = heads(sample)
    wanted = [
        {
            "id": event["messageId"],
            "aggregate": found[event["aggregateType"], event["aggregateId"]] if "aggregateType" in event else None,
        }
        for event in sample.events
    ]
    assert answer["events"]["nodes"] == wanted
