"""Requests of the REST endpoints, and what their answers tell."""

from typing import Any

import httpx

from tests.support.sample_log import SampleApi

ENDPOINTS = ["history", "replay", "aggregate", "stats"]
LISTINGS = ["history", "replay"]
FROM, TO = "2026-03-10T00:00:00Z", "2026-03-20T00:00:00Z"
NO_FILTERS = dict.fromkeys(
    ("aggregateId", "aggregateType", "eventTypes", "fromTimestamp", "toTimestamp", "beforeTimestamp", "limit")
)


async def get(sample: SampleApi, endpoint: str, **parameters: str | int) -> httpx.Response:
    """The response of an endpoint."""
    return await sample.api.http.get(f"/events/{endpoint}", params=parameters)


async def answer(sample: SampleApi, endpoint: str, **parameters: str | int) -> Any:
    """The answer of an endpoint, which has one."""
    response = await get(sample, endpoint, **parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    return response.json()


def refusal(response: httpx.Response, status: int = 400) -> Any:
    """The extensions of the one error in a response that is no answer."""
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"errors"}
    [error] = body["errors"]
    assert error["message"]
    return error["extensions"]
