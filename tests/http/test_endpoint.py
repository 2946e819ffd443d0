"""GraphQL over HTTP: the answer to each kind of request, right or wrong."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from graphql import get_introspection_query

from eventscope.http.endpoint import MOST_BODY, MOST_URL
from eventscope.settings import Settings
from tests.support.api_server import running_api
from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW = "application/graphql-response+json"
OLD = "application/json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FINE = {"query": "{ log { head } }"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as world:
        yield world


@pytest.fixture(scope="module")
def http(world: SampleApi) -> httpx.AsyncClient:
    return world.api.http


async def post(http: httpx.AsyncClient, body: object, accept: str = OLD) -> httpx.Response:
    return await http.post("/graphql", json=body, headers={"accept": accept})


def told(response: httpx.Response) -> Any:
    """The one error of a refused request, which every refusal has as JSON."""
    assert response.headers["content-type"].endswith("json; charset=utf-8")
    body = response.json()
    assert body.keys() == {"errors"}
    [error] = body["errors"]
    assert isinstance(error["message"], str)
    return error


# requests


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_method_that_graphql_does_not_use_gets_405_with_those_that_it_does(
    http: httpx.AsyncClient, method: str
) -> None:
    response = await http.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert told(response)["extensions"] == {"code": "BAD_USER_INPUT"}


HEAD = {"data": {"log": {"head": 300}}}
SEVERAL = "query A { log { head } } query B { stats { totalEvents } } mutation C { __typename }"
BY_ID = "query ($id: ID!) { event(id: $id) { id } }"


@pytest.mark.parametrize(
    "parameters",
    [
        {"query": "{log{head}}"},
        {"query": SEVERAL, "operationName": "A"},
        {
            "query": "query ($n: Int) { log { head } events(first: $n) @skip(if: true) { nodes { id } } }",
            "variables": '{"n": 5}',
        },
        {"query": "{log{head}}", "variables": "", "operationName": "", "extensions": "{}", "more": "1"},
    ],
)
@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_a_query_may_be_sent_by_get(http: httpx.AsyncClient, parameters: dict[str, str], accept: str) -> None:
    response = await http.get("/graphql", params=parameters, headers={"accept": accept})
    assert (response.status_code, response.json()) == (200, HEAD)
    assert response.headers["content-type"] == f"{accept}; charset=utf-8"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"variables": "{}"},
        {"query": "{log{head}}", "variables": "{"},
        {"query": "{log{head}}", "variables": "[]"},
        {"query": "{log{head}}", "variables": "5"},
        {"query": "{log{head}}", "variables": "[" * 2500},
        {"query": "{log{head}}", "extensions": "null and void"},
        {"query": SEVERAL},
        {"query": SEVERAL, "operationName": "X"},
    ],
)
@pytest.mark.parametrize("accept", [OLD, NEW, "*/*"])
async def test_an_address_without_a_valid_request_gets_400(
    http: httpx.AsyncClient, parameters: dict[str, str], accept: str
) -> None:
    response = await http.get("/graphql", params=parameters, headers={"accept": accept})
    assert response.status_code == 400
    assert told(response)["extensions"]["code"] == "BAD_USER_INPUT"


async def test_a_mutation_by_get_gets_405_and_the_advice_to_use_post(http: httpx.AsyncClient) -> None:
    publish = 'mutation { publishEvent(input: { type: "a.b" }) { messageId } }'
    for parameters in ({"query": publish}, {"query": SEVERAL, "operationName": "C"}):
        response = await http.get("/graphql", params=parameters)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        told(response)
    assert (await post(http, FINE)).json() == HEAD


async def test_a_subscription_by_get_is_referred_to_the_websocket(http: httpx.AsyncClient) -> None:
    response = await http.get("/graphql", params={"query": "subscription { events { __typename } }"})
    assert response.status_code == 400
    assert told(response)["extensions"] == {"code": "SUBSCRIPTION_NOT_SUPPORTED"}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
async def test_a_page_of_another_site_cannot_make_a_browser_query_by_get(http: httpx.AsyncClient, site: str) -> None:
    response = await http.get("/graphql", params=FINE, headers={"sec-fetch-site": site})
    assert response.status_code == 403
    told(response)
    for own in ("same-origin", "none"):
        response = await http.get("/graphql", params=FINE, headers={"sec-fetch-site": own})
        assert response.json() == HEAD


@pytest.mark.parametrize("accept", [OLD, NEW])
async def test_an_invalid_query_gets_the_same_error_by_get(http: httpx.AsyncClient, accept: str) -> None:
    for query in ("{", "{ nothing }", BY_ID):
        response = await http.get("/graphql", params={"query": query}, headers={"accept": accept})
        assert response.status_code == (400 if accept == NEW else 200)
        assert told(response)["extensions"]["code"] == "BAD_USER_INPUT"


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


BY_HASH = {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b5132295c0291d62fb6"}}
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


@pytest.mark.parametrize("batch", [[], [FINE], [FINE, FINE], [{"extensions": BY_HASH}], [1]])
async def test_several_operations_in_one_request_get_400_with_the_reason(
    http: httpx.AsyncClient, batch: object
) -> None:
    response = await post(http, batch)
    assert response.status_code == 400
    assert "in a request of its own" in told(response)["message"]


@pytest.mark.parametrize("accept", ["text/plain", "text/html", "application/xml", "application/json;q=0"])
async def test_a_client_that_accepts_no_available_media_type_gets_406(http: httpx.AsyncClient, accept: str) -> None:
    response = await post(http, FINE, accept)
    assert response.status_code == 406
    told(response)


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


@pytest.mark.parametrize("stream", ["multipart/mixed;subscriptionSpec=1.0", "multipart/mixed"])
async def test_no_answer_is_streamed_in_parts(http: httpx.AsyncClient, stream: str) -> None:
    accept = f"{stream}, {OLD};q=0.1"
    response = await post(http, FINE, accept)
    assert response.json() == {"data": {"log": {"head": 300}}}
    response = await post(http, {"query": "subscription { events { __typename } }"}, accept)
    assert told(response)["extensions"] == {"code": "SUBSCRIPTION_NOT_SUPPORTED"}
    assert (await post(http, FINE, stream)).status_code == 406


# answers


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


# sizes


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


async def test_an_address_at_the_limit_is_accepted_and_one_byte_more_gets_414(http: httpx.AsyncClient) -> None:
    response = await http.post("/graphql?" + "x" * MOST_URL, json=FINE)
    assert response.json() == {"data": {"log": {"head": 300}}}
    response = await http.post("/graphql?" + "x" * (MOST_URL + 1), json=FINE)
    assert response.status_code == 414
    assert str(MOST_URL) in told(response)["message"]


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


# the page


async def test_browsers_get_the_page_and_programs_do_not(http: httpx.AsyncClient) -> None:
    response = await http.get("/graphql", headers={"accept": BROWSER})
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["vary"] == "Accept, Accept-Encoding"
    for accept in ("*/*", OLD, NEW, f"{OLD}, text/html;q=0.5"):
        assert (await http.get("/graphql", params=FINE, headers={"accept": accept})).json() == HEAD


@pytest.mark.asyncio(loop_scope="function")
async def test_the_page_can_be_turned_off(settings: Settings) -> None:
    async with running_api(settings.model_copy(update={"graphiql": False})) as api:
        response = await api.http.get("/graphql", headers={"accept": "text/html"})
        assert response.status_code == 406
        assert (await api.http.get("/graphql/assets/plain.js")).status_code == 404
