"""GraphQL by POST: which bodies are requests, and how the others are refused."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest

from eventscope.http.endpoint import MOST_BODY
from tests.http.support.graphql_requests import BY_HASH, FINE, HEAD, NEW, OLD, post, told

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql"),
        *("application/jsonp", "application/json-seq", "text/json", ""),
    ],
)
async def test_a_body_that_is_not_declared_as_json_gets_415(http: httpx.AsyncClient, media_type: str) -> None:
    response = await http.post("/graphql", content=json.dumps(FINE), headers={"content-type": media_type})
    assert response.status_code == 415
    told(response)


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"])
async def test_a_body_may_be_declared_as_json_in_several_ways(http: httpx.AsyncClient, media_type: str) -> None:
    response = await http.post("/graphql", content=json.dumps(FINE), headers={"content-type": media_type})
    assert response.json() == {"data": {"log": {"head": 300}}}


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x-anything", "identity, gzip"])
@pytest.mark.parametrize("packed", [True, False])
async def test_a_compressed_body_gets_415_with_the_reason(http: httpx.AsyncClient, coding: str, packed: bool) -> None:
    body = json.dumps(FINE).encode()
    headers = {"content-type": "application/json", "content-encoding": coding}
    response = await http.post("/graphql", content=gzip.compress(body) if packed else body, headers=headers)
    assert response.status_code == 415
    assert "Content-Encoding" in told(response)["message"]


async def test_a_body_may_state_that_it_is_not_compressed(http: httpx.AsyncClient) -> None:
    assert (await http.post("/graphql", json=FINE, headers={"content-encoding": "Identity"})).json() == HEAD


@pytest.mark.parametrize("batch", [[], [FINE], [FINE, FINE], [{"extensions": BY_HASH}], [1]])
async def test_several_operations_in_one_request_get_400_with_the_reason(
    http: httpx.AsyncClient, batch: object
) -> None:
    response = await post(http, batch)
    assert response.status_code == 400
    assert "in a request of its own" in told(response)["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"5",
        b'"x"',
        b"true",
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b"[" * 100_000,
        b'{"query": ' + b"[" * 100_000,
        b'[{"query": "{ log { head } }"}]',
        b'{"query": null}',
        b'{"query": 5}',
        b'{"query": ""}',
        b'{"query": ["{ log { head } }"]}',
        b'{"query": "{ log { head } }", "operationName": 5}',
        b'{"query": "{ log { head } }", "operationName": []}',
        b'{"query": "{ log { head } }", "variables": []}',
        b'{"query": "{ log { head } }", "variables": "{}"}',
        b'{"query": "{ log { head } }", "extensions": []}',
        b'{"query": "{ log { head } }", "extensions": NaN}',
    ],
)
@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_a_body_that_is_not_a_request_gets_400(http: httpx.AsyncClient, body: bytes, accept: str) -> None:
    headers = {"content-type": "application/json", "accept": accept}
    response = await http.post("/graphql", content=body, headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"
    assert told(response)["extensions"]["code"] == "BAD_USER_INPUT"


async def test_null_members_count_as_absent(http: httpx.AsyncClient) -> None:
    response = await post(http, FINE | {"variables": None, "operationName": None, "extensions": None, "more": 1})
    assert response.json() == {"data": {"log": {"head": 300}}}


@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_with_several_operations_one_must_be_named(http: httpx.AsyncClient, accept: str) -> None:
    several = "query A { log { head } } query B { stats { totalEvents } } subscription C { events { __typename } }"
    response = await post(http, {"query": several}, accept)
    assert response.status_code == 400
    assert "operationName" in told(response)["message"]
    response = await post(http, {"query": several, "operationName": "X"}, accept)
    assert response.status_code == 400
    assert "X" in told(response)["message"]
    response = await post(http, {"query": several, "operationName": "A"}, accept)
    assert response.json() == {"data": {"log": {"head": 300}}}


@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_a_subscription_by_post_gets_400_and_is_referred_to_the_websocket(
    http: httpx.AsyncClient, accept: str
) -> None:
    response = await post(http, {"query": "subscription { events { __typename } }"}, accept)
    assert response.status_code == 400
    error = told(response)
    assert error["extensions"] == {"code": "SUBSCRIPTION_NOT_SUPPORTED"}
    assert "WebSocket" in error["message"]


def of_size(size: int) -> bytes:
    return (
        json.dumps(FINE | {"extensions": {"x": ""}}).replace('"x": ""', '"x": "{}"').replace("{}", "x" * size).encode()
    )


async def test_a_body_at_the_limit_is_accepted_and_one_byte_more_gets_413(http: httpx.AsyncClient) -> None:
    most = of_size(MOST_BODY - len(of_size(0)))
    assert len(most) == MOST_BODY == 262_144
    headers = {"content-type": "application/json"}
    assert (await http.post("/graphql", content=most, headers=headers)).json() == {"data": {"log": {"head": 300}}}
    response = await http.post("/graphql", content=most + b" ", headers=headers)
    assert response.status_code == 413
    assert "262144" in told(response)["message"]


async def test_a_body_without_a_stated_size_is_limited_too(http: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    response = await http.post("/graphql", content=parts(), headers={"content-type": "application/json"})
    assert response.status_code == 413
    told(response)


async def test_a_client_that_disconnects_in_the_middle_of_a_body_does_no_harm(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await post(http, FINE)).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
