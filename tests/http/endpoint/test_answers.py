"""Answers of /graphql: their status, media type and headers, and which errors are part of them."""

from typing import Any

import httpx
import pytest
from graphql import get_introspection_query

from tests.http.support.graphql_requests import FINE, NEW, OLD, post, told

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/xml", "application/json;q=0"])
async def test_a_client_that_accepts_no_available_media_type_gets_406(http: httpx.AsyncClient, accept: str) -> None:
    response = await post(http, FINE, accept)
    assert response.status_code == 406
    told(response)


@pytest.mark.parametrize("stream", ["multipart/mixed;subscriptionSpec=1.0", "multipart/mixed"])
async def test_no_answer_is_streamed_in_parts(http: httpx.AsyncClient, stream: str) -> None:
    accept = f"{stream}, {OLD};q=0.1"
    response = await post(http, FINE, accept)
    assert response.json() == {"data": {"log": {"head": 300}}}
    response = await post(http, {"query": "subscription { events { __typename } }"}, accept)
    assert told(response)["extensions"] == {"code": "SUBSCRIPTION_NOT_SUPPORTED"}
    assert (await post(http, FINE, stream)).status_code == 406


@pytest.mark.parametrize(
    "request_",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query ($id: ID!) { event(id: $id) { id } }"},
        {
            "query": "query ($t: DateTime) { stats(filter: { fromTimestamp: $t }) { totalEvents } }",
            "variables": {"t": 5},
        },
    ],
)
async def test_an_invalid_query_is_not_executed_and_gets_400_if_the_client_knows_the_newer_media_type(
    http: httpx.AsyncClient, request_: dict[str, Any]
) -> None:
    for accept, status in ((NEW, 400), (OLD, 200)):
        response = await post(http, request_, accept)
        assert response.status_code == status
        assert told(response)["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_an_error_in_a_field_is_part_of_an_answer(http: httpx.AsyncClient, accept: str) -> None:
    for query, data in (
        ('{ events(after: "x") { nodes { id } } }', None),
        (
            '{ event(id: "m000") { id } aggregate(type: "user", id: "nobody") { id } }',
            {"event": {"id": "m000"}, "aggregate": None},
        ),
    ):
        response = await post(http, {"query": query}, accept)
        assert response.status_code == 200
        assert response.json()["data"] == data


@pytest.mark.parametrize(
    ("accept", "media_type"), [(None, OLD), ("*/*", OLD), (OLD, OLD), (NEW, NEW), (f"{NEW}, {OLD};q=0.9", NEW)]
)
async def test_an_answer_has_the_requested_media_type(
    http: httpx.AsyncClient, accept: str | None, media_type: str
) -> None:
    request = http.build_request("POST", "/graphql", json=FINE)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    response = await http.send(request)
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"


async def test_no_answer_is_cached_or_sniffed(http: httpx.AsyncClient) -> None:
    for response in (
        await post(http, FINE),
        await post(http, FINE, NEW),
        await post(http, FINE, "text/plain"),
        await post(http, {"query": "{"}, NEW),
        await post(http, None),
        await http.get("/graphql"),
        await http.put("/graphql"),
        await http.post("/graphql", content=b"x"),
    ):
        assert "accept" in response.headers["vary"].lower()
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_introspection_of_common_tools_is_within_every_limit(http: httpx.AsyncClient) -> None:
    query = get_introspection_query(descriptions=True, specified_by_url=True, schema_description=True)
    answer = (await post(http, {"query": query, "operationName": "IntrospectionQuery"}, NEW)).json()
    assert "errors" not in answer
    assert any(type["name"] == "EventFeed" for type in answer["data"]["__schema"]["types"])
