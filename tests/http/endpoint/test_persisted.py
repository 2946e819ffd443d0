"""Queries that are requested by their hash alone: none is kept, so the client must send the whole query."""

import json
from typing import Any

import httpx
import pytest

from tests.http.support.graphql_requests import BY_HASH, FINE, HEAD, NEW, OLD, post, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_KEPT = {
    "errors": [{"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}}]
}


@pytest.mark.parametrize("accept", [OLD, NEW, "*/*"])
@pytest.mark.parametrize("more", [{}, {"query": ""}, {"query": None}, {"variables": {"id": "x"}, "operationName": "A"}])
async def test_a_query_sent_as_its_hash_is_requested_in_full(
    http: httpx.AsyncClient, accept: str, more: dict[str, Any]
) -> None:
    response = await post(http, {"extensions": BY_HASH} | more, accept)
    assert (response.status_code, response.json()) == (200, NOT_KEPT)
    parameters = {name: value if isinstance(value, str) else json.dumps(value) for name, value in more.items() if value}
    parameters |= {"extensions": json.dumps(BY_HASH)}
    response = await http.get("/graphql", params=parameters, headers={"accept": accept})
    assert (response.status_code, response.json()) == (200, NOT_KEPT)


async def test_a_hash_sent_for_an_event_stream_is_answered_as_an_event_stream(http: httpx.AsyncClient) -> None:
    response = await post(http, {"extensions": BY_HASH}, "text/event-stream")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    [name, data, empty, *end] = response.text.split("\n")
    assert (name, json.loads(data.removeprefix("data: ")), empty) == ("event: next", NOT_KEPT, "")
    assert end == ["id: complete", "event: complete", "data: ", "", ""]


async def test_a_query_sent_with_its_hash_is_answered(http: httpx.AsyncClient) -> None:
    assert (await post(http, FINE | {"extensions": BY_HASH})).json() == HEAD
    response = await http.get("/graphql", params=FINE | {"extensions": json.dumps(BY_HASH)})
    assert response.json() == HEAD


@pytest.mark.parametrize("extensions", [None, {}, {"persistedQuery": "x"}, {"persistedQuery": None}, {"other": {}}])
async def test_a_body_with_neither_query_nor_hash_is_not_a_request(http: httpx.AsyncClient, extensions: object) -> None:
    response = await post(http, {"extensions": extensions})
    assert response.status_code == 400
    assert told(response)["extensions"]["code"] == "BAD_USER_INPUT"
