"""REST: the four endpoints have exactly the shapes that services know, and the same answers as GraphQL."""

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.http.support.rest_requests import FROM, LISTINGS, NO_FILTERS, TO, answer, get, refusal
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="module")


def as_told(event: EventDocument) -> dict[str, Any]:
    names = [
        "version",
        "claimedVersion",
        "userId",
        "data",
        "metadata",
        "aggregateId",
        "aggregateType",
        "correlationId",
        "causationId",
    ]
    return {
        "id": event["messageId"],
        "type": event["type"],
        "timestamp": moment.to_text(event["timestamp"]),
        "position": event["_id"],
        **{name: event.get(name) for name in names},
    }


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_lists_return_the_oldest_events_first_and_a_limit_leaves_out_the_newest(
    sample: SampleApi, endpoint: str
) -> None:
    found = await answer(sample, endpoint, limit=20)
    found.pop("filters", None)
    assert found == {
        "aggregateId": None,
        "aggregateType": None,
        "totalEvents": len(sample.events),
        "events": [as_told(event) for event in sample.events[:20]],
    }


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_the_events_of_one_aggregate_are_in_the_order_of_their_versions(sample: SampleApi, endpoint: str) -> None:
    found = await answer(sample, endpoint, aggregateType="user", aggregateId="u3")
    versions = [event["version"] for event in found["events"]]
    assert versions == sorted(versions)
    assert len(versions) > 1


async def test_aggregate_returns_all_events_of_one_oldest_first_and_its_version(sample: SampleApi) -> None:
    mine = [e for e in sample.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u3"]
    assert mine
    assert await answer(sample, "aggregate", aggregateType="user", aggregateId="u3") == {
        "aggregateId": "u3",
        "aggregateType": "user",
        "latestVersion": mine[-1]["version"],
        "totalEvents": len(mine),
        "events": [as_told(event) for event in mine],
    }


async def test_the_version_is_the_current_one_whatever_the_parameters_leave_out(sample: SampleApi) -> None:
    mine = [e for e in sample.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u3"]
    asked = {"aggregateType": "user", "aggregateId": "u3"}
    for more in ({"limit": 1}, {"eventTypes": "nothing"}, {"beforeTimestamp": "2000-01-01"}):
        found = await answer(sample, "aggregate", **asked, **more)
        assert len(found["events"]) < len(mine)
        assert found["latestVersion"] == mine[-1]["version"]
    nobody = await answer(sample, "aggregate", aggregateType="user", aggregateId="nobody")
    assert (nobody["latestVersion"], nobody["totalEvents"]) == (None, 0)
    elsewhere = await answer(sample, "aggregate", aggregateType="vendor", aggregateId="u3")
    assert elsewhere["latestVersion"] is None


async def test_the_version_outlives_the_events(sample: SampleApi) -> None:
    head = await sample.log.aggregates.find_one({"_id.type": "user", "_id.id": "u3"})
    assert head is not None
    gone = {"_id": {"type": "user", "id": "gone"}, "version": 7, "expireAt": datetime(2020, 1, 1)}
    await sample.log.aggregates.insert_one({**head, **gone})
    try:
        found = await answer(sample, "aggregate", aggregateType="user", aggregateId="gone")
    finally:
        await sample.log.aggregates.delete_one({"_id": gone["_id"]})
    assert (found["latestVersion"], found["events"]) == (7, [])


async def test_replay_repeats_the_parameters_that_were_given(sample: SampleApi) -> None:
    assert (await answer(sample, "replay"))["filters"] == NO_FILTERS
    assert (await answer(sample, "replay", aggregateId="", limit=7))["filters"] == NO_FILTERS | {"limit": 7}
    given: dict[str, str | int] = {
        "aggregateId": "u3",
        "aggregateType": "user",
        "eventTypes": "user.*, ,file.created",
        "fromTimestamp": "2026-03-10",
        "toTimestamp": "2026-03-20T00:00:00.5+02:00",
        "beforeTimestamp": "2026-04-01T00:00:00Z",
        "limit": 1000,
    }
    found = await answer(sample, "replay", **given)
    assert found["filters"] == {**given, "eventTypes": ["user.*", "file.created"]}
    assert found.keys() == {"aggregateId", "aggregateType", "filters", "totalEvents", "events"}
    response = await sample.api.http.get("/events/replay?fromTimestamp=2026-03-10T02:00:00+02:00")
    assert response.json()["filters"] == NO_FILTERS | {"fromTimestamp": "2026-03-10T02:00:00+02:00"}


def recounted(events: list[EventDocument]) -> dict[str, Any]:
    times = [event["timestamp"] for event in events]
    types = Counter(event["type"] for event in events)
    return {
        "totalEvents": len(events),
        "uniqueAggregates": len({(e["aggregateType"], e["aggregateId"]) for e in events if "aggregateType" in e}),
        "eventTypes": len(types),
        "eventTypeBreakdown": dict(types),
        "aggregateTypeBreakdown": dict(Counter(e["aggregateType"] for e in events if "aggregateType" in e)),
        "timeRange": {
            "earliest": moment.to_text(min(times)) if times else None,
            "latest": moment.to_text(max(times)) if times else None,
        },
    }


async def test_stats_return_counts_breakdowns_and_the_time_range(sample: SampleApi) -> None:
    assert await answer(sample, "stats") == recounted(sample.events)


async def test_without_matches_every_endpoint_returns_nothing(sample: SampleApi) -> None:
    nothing: dict[str, Any] = {"aggregateId": None, "aggregateType": "nothing", "totalEvents": 0, "events": []}
    assert await answer(sample, "history", aggregateType="nothing") == nothing
    filters = NO_FILTERS | {"aggregateType": "nothing"}
    assert await answer(sample, "replay", aggregateType="nothing") == nothing | {"filters": filters}
    one = {"aggregateId": "x", "latestVersion": None}
    assert await answer(sample, "aggregate", aggregateType="nothing", aggregateId="x") == nothing | one
    assert await answer(sample, "stats", aggregateType="nothing") == recounted([])


@pytest.mark.parametrize("endpoint", LISTINGS)
@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"aggregateType": "user"}, lambda e: e.get("aggregateType") == "user"),
        ({"aggregateId": ".*"}, lambda e: e.get("aggregateId") == ".*"),
        ({"eventTypes": "user.created"}, lambda e: e["type"] == "user.created"),
        ({"eventTypes": "user.created, file.*,"}, lambda e: e["type"] == "user.created" or "file." in e["type"]),
        ({"fromTimestamp": FROM}, lambda e: e["timestamp"] >= moment.from_text(FROM)),
        ({"toTimestamp": TO}, lambda e: e["timestamp"] <= moment.from_text(TO)),
        ({"beforeTimestamp": TO}, lambda e: e["timestamp"] < moment.from_text(TO)),
        ({"toTimestamp": TO[:10]}, lambda e: moment.to_text(e["timestamp"])[:10] <= TO[:10]),
        ({"toTimestamp": TO[:10], "beforeTimestamp": TO[:10]}, lambda e: e["timestamp"] < moment.from_text(TO)),
        (
            {"fromTimestamp": FROM[:10], "toTimestamp": FROM[:10]},
            lambda e: moment.to_text(e["timestamp"])[:10] == FROM[:10],
        ),
        (
            {"aggregateType": "user", "eventTypes": "*.updated", "fromTimestamp": FROM, "toTimestamp": TO},
            lambda e: e["type"] == "user.updated" and moment.from_text(FROM) <= e["timestamp"] <= moment.from_text(TO),
        ),
    ],
)
async def test_each_parameter_has_its_documented_meaning(
    sample: SampleApi, endpoint: str, parameters: dict[str, str], wanted: Any
) -> None:
    ids = sample.those(wanted)
    assert 0 < len(ids) < len(sample.events)
    found = await answer(sample, endpoint, **parameters, limit=1000)
    assert [event["id"] for event in found["events"]] == ids
    assert found["totalEvents"] == len(ids)


async def test_stats_cover_what_the_parameters_mean(sample: SampleApi) -> None:
    filter = {"eventTypes": "user.*,vendor.created", "fromTimestamp": FROM, "toTimestamp": TO}
    events = [
        event
        for event in sample.events
        if (event["type"].startswith("user.") or event["type"] == "vendor.created")
        and moment.from_text(FROM) <= event["timestamp"] <= moment.from_text(TO)
    ]
    assert await answer(sample, "stats", **filter) == recounted(events)
    day = {"fromTimestamp": FROM[:10], "toTimestamp": FROM[:10]}
    of_that_day = [event for event in sample.events if moment.to_text(event["timestamp"])[:10] == FROM[:10]]
    assert len(of_that_day) > 0
    assert await answer(sample, "stats", **day) == recounted(of_that_day)
    assert await answer(sample, "stats", fromTimestamp=FROM, beforeTimestamp=f"{FROM[:8]}11") == recounted(of_that_day)
    users = [event for event in events if event["type"].startswith("user.")]
    assert await answer(sample, "stats", **filter, aggregateType="user") == recounted(users)


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_the_total_counts_all_that_match_despite_a_limit(sample: SampleApi, endpoint: str) -> None:
    n = len(sample.those(lambda event: event.get("aggregateType") == "user"))
    for limit in (1, n - 1, n, n + 1, 1000):
        found = await answer(sample, endpoint, aggregateType="user", limit=limit)
        assert found["totalEvents"] == n
        assert len(found["events"]) == min(limit, n)


async def test_without_a_limit_fifty_events_are_returned(sample: SampleApi) -> None:
    assert len((await answer(sample, "history"))["events"]) == 50


async def test_a_zone_whose_plus_was_not_escaped_is_understood(sample: SampleApi) -> None:
    response = await sample.api.http.get("/events/history?fromTimestamp=2026-03-10T02:00:00+02:00&limit=1000")
    same = await answer(sample, "history", fromTimestamp=FROM, limit=1000)
    assert response.json() == same
    for zone in ("+0200", "+02"):
        response = await sample.api.http.get(f"/events/history?fromTimestamp=2026-03-10T02:00:00{zone}&limit=1000")
        assert response.json() == same
    # a space before a time of day is not a plus
    found = await answer(sample, "history", fromTimestamp="2026-03-10 00:00:00", limit=1000)
    assert found == same
    response = await sample.api.http.get("/events/history?fromTimestamp=2026-03-10 02:00:00+02:00&limit=1000")
    assert response.json() == same


async def test_an_empty_parameter_counts_as_absent(sample: SampleApi) -> None:
    assert await answer(sample, "history", aggregateId="", eventTypes="") == await answer(sample, "history")
    for endpoint in ("history", "replay", "stats"):
        for types in (",", " , ,"):
            assert await answer(sample, endpoint, eventTypes=types) == await answer(sample, endpoint)


async def test_stats_of_one_aggregate_cover_only_its_events(sample: SampleApi) -> None:
    mine = [e for e in sample.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u1"]
    assert len(mine) > 1
    assert await answer(sample, "stats", aggregateType="user", aggregateId="u1") == recounted(mine)
    response = await get(sample, "stats", aggregateId="x" * 1025)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateId"}
