"""REST refuses each wrong parameter by its name, and every error has the same form."""

from dataclasses import replace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.app import build, services
from eventscope.store.search_limits import SearchLimits
from eventscope.store.values import moment
from tests.http.support.rest_requests import ENDPOINTS, FROM, LISTINGS, NO_FILTERS, TO, answer, get, refusal
from tests.support.api_server import running_api
from tests.support.sample_log import IDS, SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", ["fromTimestamp", "toTimestamp", "beforeTimestamp"])
@pytest.mark.parametrize("time", ["2028-02-29+00:00", "2028-02-29%2B00:00", "20280229+0200", "2028-02-29+02"])
async def test_a_day_with_a_zone_is_refused_however_its_plus_is_written(
    sample: SampleApi, name: str, time: str
) -> None:
    response = await sample.api.http.get(f"/events/history?limit=1&{name}={time}")
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": name}


async def test_errors_have_the_same_form_everywhere(sample: SampleApi) -> None:
    for path in ("histry", "", "history/x"):
        response = await get(sample, path)
        assert response.status_code == 404
        [error] = response.json()["errors"]
        assert error["message"] == (
            f"there is no '/events/{path}'; there are /events/history, /events/replay, /events/aggregate, /events/stats"
        )
    for endpoint in ENDPOINTS:
        response = await sample.api.http.post(f"/events/{endpoint}")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
        assert response.json()["errors"][0]["message"] == f"/events/{endpoint} takes GET"


@pytest.mark.parametrize("limit", ["0", "1e1", "-1", "1.5"])
async def test_statistics_refuse_a_limit_as_the_lists_do(sample: SampleApi, limit: str) -> None:
    assert refusal(await get(sample, "stats", limit=limit)) == {"code": "BAD_USER_INPUT", "field": "limit"}
    await answer(sample, "stats", limit=1)


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "1.5", "1e3", "٣", " 5", "99999999999", "0x10"])
@pytest.mark.parametrize("endpoint", ["history", "replay", "aggregate"])
async def test_a_limit_that_is_not_a_positive_number_is_refused(sample: SampleApi, endpoint: str, limit: str) -> None:
    response = await get(sample, endpoint, aggregateType="user", aggregateId="u1", limit=limit)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "limit"}


@pytest.mark.parametrize("endpoint", LISTINGS)
async def test_a_limit_of_1000_is_accepted_and_one_of_1001_is_refused(sample: SampleApi, endpoint: str) -> None:
    assert len((await answer(sample, endpoint, limit=1000))["events"]) == len(sample.events)
    response = await get(sample, endpoint, limit=1001)
    assert refusal(response) == {"code": "PAGE_TOO_LARGE", "field": "limit"}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("name", ["aggregate_id", "type", "offset", "fromtimestamp", "$where", "x" * 1000])
async def test_an_unknown_parameter_is_refused_with_a_list_of_the_known_ones(
    sample: SampleApi, endpoint: str, name: str
) -> None:
    response = await get(sample, endpoint, aggregateType="user", aggregateId="u1", **{name: "x"})
    assert refusal(response)["code"] == "BAD_USER_INPUT"
    assert "fromTimestamp" in response.text
    assert len(response.text) < 400


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_parameter_given_twice_is_refused(sample: SampleApi, endpoint: str) -> None:
    response = await sample.api.http.get(f"/events/{endpoint}?aggregateType=user&aggregateType=vendor&aggregateId=x")
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateType"}


@pytest.mark.parametrize("endpoint", ["history", "replay", "stats"])
@pytest.mark.parametrize("name", ["fromTimestamp", "toTimestamp", "beforeTimestamp"])
async def test_an_invalid_time_is_refused(sample: SampleApi, endpoint: str, name: str) -> None:
    for time in ("yesterday", "1772841600", "2026-02-30", "2026-02", "2026-02-03+02:00", "0001-01-01T00:00:00+14:00"):
        response = await get(sample, endpoint, **{name: time})
        assert refusal(response) == {"code": "BAD_USER_INPUT", "field": name}


async def test_values_that_are_too_many_or_too_long_are_refused(sample: SampleApi) -> None:
    response = await get(sample, "history", eventTypes=",".join(f"t{n}" for n in range(1001)))
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "eventTypes"}
    response = await get(sample, "history", aggregateId="x" * 1025)
    assert refusal(response) == {"code": "BAD_USER_INPUT", "field": "aggregateId"}


@pytest.mark.parametrize("missing", ["aggregateId", "aggregateType"])
async def test_an_aggregate_is_identified_by_its_type_and_its_id(sample: SampleApi, missing: str) -> None:
    given = {"aggregateId": "u1", "aggregateType": "user"}
    del given[missing]
    assert refusal(await get(sample, "aggregate", **given)) == {"code": "BAD_USER_INPUT", "field": missing}


names = st.sampled_from(list(NO_FILTERS))
texts = st.text(max_size=20) | st.sampled_from(["user", "u1", "user.*", FROM, TO, "5", "a,b", '{"$gt": ""}', "\0"])


@given(endpoint=st.sampled_from(ENDPOINTS), parameters=st.dictionaries(names | texts, texts, max_size=4))
@settings(max_examples=400, deadline=None)
async def test_no_parameters_are_answered_with_500(
    sample: SampleApi, endpoint: str, parameters: dict[str, str]
) -> None:
    response = await get(sample, endpoint, **parameters)
    assert response.status_code in {200, 400}
    if response.status_code == 400:
        assert refusal(response)["code"] in {"BAD_USER_INPUT", "PAGE_TOO_LARGE"}


async def test_a_list_that_cannot_be_complete_in_time_is_an_error(sample: SampleApi) -> None:
    async with running_api(sample.settings, SearchLimits(window=7, index_share=1e-9, patience=0.0)) as api:
        response = await get(replace(sample, api=api), "history", aggregateId=IDS["user"][0], limit="1")
    assert response.status_code == 504
    assert response.json()["errors"][0]["extensions"] == {"code": "TIMEOUT"}


async def test_a_list_that_is_too_large_to_be_complete_is_another_error(sample: SampleApi) -> None:
    chosen = sample.settings.model_copy(update={"mongo_database": f"{sample.settings.mongo_database}_large"})
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
