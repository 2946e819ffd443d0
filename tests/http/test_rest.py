"""REST: the four endpoints have exactly the shapes that services know, and the same answers as GraphQL."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.app import build, services
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from tests.support.api_server import running_api
from tests.support.sample_log import IDS, SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDPOINTS = ["history", "replay", "aggregate", "stats"]
LISTINGS = ["history", "replay"]
FROM, TO = "2026-03-10T00:00:00Z", "2026-03-20T00:00:00Z"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as world:
        yield world


async def get(world: SampleApi, endpoint: str, **parameters: str | int) -> httpx.Response:
    return await world.api.http.get(f"/events/{endpoint}", params=parameters)


async def answer(world: SampleApi, endpoint: str, **parameters: str | int) -> Any:
    response = await get(world, endpoint, **parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    return response.json()


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
    world: SampleApi, endpoint: str
) -> None:
    found = await answer(world, endpoint, limit=20)
    found.pop("filters", None)
    assert found == {
        "aggregateId": None,
        "aggregateType": None,
        "totalEvents": len(world.events),
        "events": [as_told(event) for event in world.events[:20]],
    }


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_the_events_of_one_aggregate_are_in_the_order_of_their_versions(world: SampleApi, endpoint: str) -> None:
    found = await answer(world, endpoint, aggregateType="user", aggregateId="u3")
    versions = [event["version"] for event in found["events"]]
    assert versions == sorted(versions)
    assert len(versions) > 1


async def test_aggregate_returns_all_events_of_one_oldest_first_and_its_version(world: SampleApi) -> None:
    mine = [e for e in world.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u3"]
    assert mine
    assert await answer(world, "aggregate", aggregateType="user", aggregateId="u3") == {
        "aggregateId": "u3",
        "aggregateType": "user",
        "latestVersion": mine[-1]["version"],
        "totalEvents": len(mine),
        "events": [as_told(event) for event in mine],
    }


async def test_the_version_is_the_current_one_whatever_the_parameters_leave_out(world: SampleApi) -> None:
    mine = [e for e in world.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u3"]
    asked = {"aggregateType": "user", "aggregateId": "u3"}
    for more in ({"limit": 1}, {"eventTypes": "nothing"}, {"beforeTimestamp": "2000-01-01"}):
        found = await answer(world, "aggregate", **asked, **more)
        assert len(found["events"]) < len(mine)
        assert found["latestVersion"] == mine[-1]["version"]
    nobody = await answer(world, "aggregate", aggregateType="user", aggregateId="nobody")
    assert (nobody["latestVersion"], nobody["totalEvents"]) == (None, 0)
    elsewhere = await answer(world, "aggregate", aggregateType="vendor", aggregateId="u3")
    assert elsewhere["latestVersion"] is None


async def test_the_version_outlives_the_events(world: SampleApi) -> None:
    head = await world.log.aggregates.find_one({"_id.type": "user", "_id.id": "u3"})
    assert head is not None
    gone = {"_id": {"type": "user", "id": "gone"}, "version": 7, "expireAt": datetime(2020, 1, 1)}
    await world.log.aggregates.insert_one({**head, **gone})
    try:
        found = await answer(world, "aggregate", aggregateType="user", aggregateId="gone")
    finally:
        await world.log.aggregates.delete_one({"_id": gone["_id"]})
    assert (found["latestVersion"], found["events"]) == (7, [])


NO_FILTERS = dict.fromkeys(
    ("aggregateId", "aggregateType", "eventTypes", "fromTimestamp", "toTimestamp", "beforeTimestamp", "limit")
)


async def test_replay_repeats_the_parameters_that_were_given(world: SampleApi) -> None:
    assert (await answer(world, "replay"))["filters"] == NO_FILTERS
    assert (await answer(world, "replay", aggregateId="", limit=7))["filters"] == NO_FILTERS | {"limit": 7}
    given: dict[str, str | int] = {
        "aggregateId": "u3",
        "aggregateType": "user",
        "eventTypes": "user.*, ,file.created",
        "fromTimestamp": "2026-03-10",
        "toTimestamp": "2026-03-20T00:00:00.5+02:00",
        "beforeTimestamp": "2026-04-01T00:00:00Z",
        "limit": 1000,
    }
    found = await answer(world, "replay", **given)
    assert found["filters"] == {**given, "eventTypes": ["user.*", "file.created"]}
    assert found.keys() == {"aggregateId", "aggregateType", "filters", "totalEvents", "events"}
    response = await world.api.http.get("/events/replay?fromTimestamp=2026-03-10T02:00:00+02:00")
    assert response.json()["filters"] == NO_FILTERS | {"fromTimestamp": "2026-03-10T02:00:00+02:00"}


async def test_stats_return_counts_breakdowns_and_the_time_range(world: SampleApi) -> None:
    assert await answer(world, "stats") == recounted(world.events)


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


async def test_without_matches_every_endpoint_returns_nothing(world: SampleApi) -> None:
    nothing: dict[str, Any] = {"aggregateId": None, "aggregateType": "nothing", "totalEvents": 0, "events": []}
    assert await answer(world, "history", aggregateType="nothing") == nothing
    filters = NO_FILTERS | {"aggregateType": "nothing"}
    assert await answer(world, "replay", aggregateType="nothing") == nothing | {"filters": filters}
    one = {"aggregateId": "x", "latestVersion": None}
    assert await answer(world, "aggregate", aggregateType="nothing", aggregateId="x") == nothing | one
    assert await answer(world, "stats", aggregateType="nothing") == recounted([])


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
    world: SampleApi, endpoint: str, parameters: dict[str, str], wanted: Any
) -> None:
    ids = world.those(wanted)
    assert 0 < len(ids) < len(world.events)
    found = await answer(world, endpoint, **parameters, limit=1000)
    assert [event["id"] for event in found["events"]] == ids
    assert found["totalEvents"] == len(ids)


async def test_stats_cover_what_the_parameters_mean(world: SampleApi) -> None:
    filter = {"eventTypes": "user.*,vendor.created", "fromTimestamp": FROM, "toTimestamp": TO}
    events = [
        event
        for event in world.events
        if (event["type"].startswith("user.") or event["type"] == "vendor.created")
        and moment.from_text(FROM) <= event["timestamp"] <= moment.from_text(TO)
    ]
    assert await answer(world, "stats", **filter) == recounted(events)
    day = {"fromTimestamp": FROM[:10], "toTimestamp": FROM[:10]}
    of_that_day = [event for event in world.events if moment.to_text(event["timestamp"])[:10] == FROM[:10]]
    assert len(of_that_day) > 0
    assert await answer(world, "stats", **day) == recounted(of_that_day)
    assert await answer(world, "stats", fromTimestamp=FROM, beforeTimestamp=f"{FROM[:8]}11") == recounted(of_that_day)
    users = [event for event in events if event["type"].startswith("user.")]
    assert await answer(world, "stats", **filter, aggregateType="user") == recounted(users)


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_the_total_counts_all_that_match_despite_a_limit(world: SampleApi, endpoint: str) -> None:
    n = len(world.those(lambda event: event.get("aggregateType") == "user"))
    for limit in (1, n - 1, n, n + 1, 1000):
        found = await answer(world, endpoint, aggregateType="user", limit=limit)
        assert found["totalEvents"] == n
        assert len(found["events"]) == min(limit, n)


async def test_without_a_limit_fifty_events_are_returned(world: SampleApi) -> None:
    assert len((await answer(world, "history"))["events"]) == 50


async def test_a_zone_whose_plus_was_not_escaped_is_understood(world: SampleApi) -> None:
    response = await world.api.http.get("/events/history?fromTimestamp=2026-03-10T02:00:00+02:00&limit=1000")
    same = await answer(world, "history", fromTimestamp=FROM, limit=1000)
    assert response.json() == same
    for zone in ("+0200", "+02"):
        response = await world.api.http.get(f"/events/history?fromTimestamp=2026-03-10T02:00:00{zone}&limit=1000")
        assert response.json() == same
    # a space before a time of day is not a plus
    found = await answer(world, "history", fromTimestamp="2026-03-10 00:00:00", limit=1000)
    assert found == same
    response = await world.api.http.get("/events/history?fromTimestamp=2026-03-10 02:00:00+02:00&limit=1000")
    assert response.json() == same


async def test_an_empty_parameter_counts_as_absent(world: SampleApi) -> None:
    assert await answer(world, "history", aggregateId="", eventTypes="") == await answer(world, "history")
    for endpoint in ("history", "replay", "stats"):
        for types in (",", " , ,"):
            assert await answer(world, endpoint, eventTypes=types) == await answer(world, endpoint)


def refusal(response: httpx.Response, status: int = 400) -> Any:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"errors"}
    [error] = body["errors"]
    assert error["message"]
    return error["extensions"]


@pytest.mark.parametrize("name", ["fromTimestamp", "toTimestamp", "beforeTimestamp"])
@pytest.mark.parametrize("time", ["2028-02-29+00:00", "2028-02-29%2B00:00", "20280229+0200", "2028-02-29+02"])
async def test_a_day_with_a_zone_is_refused_however_its_plus_is_written(world: SampleApi, name: str, time: str) -> None:
    response = await world.api.http.get(f"/events/history?limit=1&{name}={time}")
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": name}


async def test_errors_have_the_same_form_everywhere(world: SampleApi) -> None:
    for path in ("histry", "", "history/x"):
        response = await get(world, path)
        assert response.status_code == 404
        [error] = response.json()["errors"]
        assert error["message"] == (
            f"there is no '/events/{path}'; there are /events/history, /events/replay, /events/aggregate, /events/stats"
        )
    for endpoint in ENDPOINTS:
        response = await world.api.http.post(f"/events/{endpoint}")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert response.json()["errors"][0]["message"] == f"/events/{endpoint} takes GET"


@pytest.mark.parametrize("limit", ["0", "1e1", "-1", "1.5"])
async def test_statistics_refuse_a_limit_as_the_lists_do(world: SampleApi, limit: str) -> None:
    assert refusal(await get(world, "stats", limit=limit)) == {"code": "BAD_USER_INPUT", "field": "limit"}
    await answer(world, "stats", limit=1)


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "1.5", "1e3", "٣", " 5", "99999999999", "0x10"])
@pytest.mark.parametrize("endpoint", ["history", "replay", "aggregate"])
async def test_a_limit_that_is_not_a_positive_number_is_refused(world: SampleApi, endpoint: str, limit: str) -> None:
    response = await get(world, endpoint, aggregateType="user", aggregateId="u1", limit=limit)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "limit"}


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_a_limit_of_1000_is_accepted_and_one_of_1001_is_refused(world: SampleApi, endpoint: str) -> None:
    assert len((await answer(world, endpoint, limit=1000))["events"]) == len(world.events)
    response = await get(world, endpoint, limit=1001)
    assert refusal(response) == {"code": "PAGE_TOO_LARGE", "field": "limit"}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", ["aggregate_id", "type", "offset", "fromtimestamp", "$where", "x" * 1000])
async def test_an_unknown_parameter_is_refused_with_a_list_of_the_known_ones(
    world: SampleApi, endpoint: str, name: str
) -> None:
    response = await get(world, endpoint, aggregateType="user", aggregateId="u1", **{name: "x"})
    assert refusal(response)["code"] == "BAD_USER_INPUT"
    assert "fromTimestamp" in response.text
    assert len(response.text) < 400


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_parameter_given_twice_is_refused(world: SampleApi, endpoint: str) -> None:
    response = await world.api.http.get(f"/events/{endpoint}?aggregateType=user&aggregateType=vendor&aggregateId=x")
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateType"}


@pytest.mark.parametrize("endpoint", ["history", "replay", "stats"])
@pytest.mark.parametrize("name", ["fromTimestamp", "toTimestamp", "beforeTimestamp"])
async def test_an_invalid_time_is_refused(world: SampleApi, endpoint: str, name: str) -> None:
    for time in ("yesterday", "1772841600", "2026-02-30", "2026-02", "2026-02-03+02:00", "0001-01-01T00:00:00+14:00"):
        response = await get(world, endpoint, **{name: time})
        assert refusal(response) == {"code": "BAD_USER_INPUT", "field": name}


async def test_values_that_are_too_many_or_too_long_are_refused(world: SampleApi) -> None:
    response = await get(world, "history", eventTypes=",".join(f"t{n}" for n in range(1001)))
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "eventTypes"}
    response = await get(world, "history", aggregateId="x" * 1025)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateId"}


@pytest.mark.parametrize("missing", ["aggregateId", "aggregateType"])
async def test_an_aggregate_is_identified_by_its_type_and_its_id(world: SampleApi, missing: str) -> None:
    given = {"aggregateId": "u1", "aggregateType": "user"}
    del given[missing]
    assert refusal(await get(world, "aggregate", **given)) == {"code": "BAD_USER_INPUT", "field": missing}


async def test_stats_of_one_aggregate_cover_only_its_events(world: SampleApi) -> None:
    mine = [e for e in world.events if e.get("aggregateType") == "user" and e.get("aggregateId") == "u1"]
    assert len(mine) > 1
    assert await answer(world, "stats", aggregateType="user", aggregateId="u1") == recounted(mine)
    response = await get(world, "stats", aggregateId="x" * 1025)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateId"}


names = st.sampled_from(list(NO_FILTERS))
texts = st.text(max_size=20) | st.sampled_from(["user", "u1", "user.*", FROM, TO, "5", "a,b", '{"$gt": ""}', "\0"])


@given(endpoint=st.sampled_from(ENDPOINTS), parameters=st.dictionaries(names | texts, texts, max_size=4))
@settings(max_examples=400, deadline=None)
async def test_no_parameters_are_answered_with_500(world: SampleApi, endpoint: str, parameters: dict[str, str]) -> None:
    response = await get(world, endpoint, **parameters)
    assert response.status_code in {200, 400}
    if response.status_code == 400:
        assert refusal(response)["code"] in {"BAD_USER_INPUT", "PAGE_TOO_LARGE"}


async def test_a_list_that_cannot_be_complete_in_time_is_an_error(world: SampleApi) -> None:
    async with running_api(world.settings, SearchLimits(window=7, index_share=1e-9, patience=0.0)) as api:
        response = await get(replace(world, api=api), "history", aggregateId=IDS["user"][0], limit="1")
    assert response.status_code == 504
    assert response.json()["errors"][0]["extensions"] == {"code": "TIMEOUT"}


async def test_a_list_that_is_too_large_to_be_complete_is_another_error(world: SampleApi) -> None:
    chosen = world.settings.model_copy(update={"mongo_database": f"{world.settings.mongo_database}_large"})
    async with services(chosen) as found:
        times = {"timestamp": moment.now(), "recordedAt": moment.now()}
        rows = [{"_id": n, "messageId": str(n), "type": "a", **times, "data": "x" * 1_000_000} for n in range(1, 31)]
        await found.log.events.insert_many(rows)
        await found.log.meta.insert_one({"_id": "checkpoint", "head": len(rows)})
        transport = httpx.ASGITransport(build(chosen, found))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert len((await http.get("/events/history", params={"limit": 10})).json()["events"]) == 10
            response = await http.get("/events/history", params={"limit": 30})
        await found.log.mongo.client.drop_database(chosen.mongo_database)
    assert response.status_code == 400
    assert refusal(response) == {"code": "QUERY_TOO_COMPLEX"}
