"""GraphQL by GET: which addresses are requests, which get the page, and how other methods are refused."""

import httpx
import pytest

from eventscope.http.endpoint import MOST_URL
from eventscope.settings import Settings
from tests.http.support.graphql_requests import FINE, HEAD, NEW, OLD, SEVERAL, post, told
from tests.support.api_server import running_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_ID = "query ($id: ID!) { event(id: $id) { id } }"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_a_method_that_graphql_does_not_use_gets_405_with_those_that_it_does(
    http: httpx.AsyncClient, method: str
) -> None:
    response = await http.request(method, "/graphql")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert told(response)["extensions"] == {"code": "BAD_USER_INPUT"}


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


async def test_an_address_at_the_limit_is_accepted_and_one_byte_more_gets_414(http: httpx.AsyncClient) -> None:
    response = await http.post("/graphql?" + "x" * MOST_URL, json=FINE)
    assert response.json() == {"data": {"log": {"head": 300}}}
    response = await http.post("/graphql?" + "x" * (MOST_URL + 1), json=FINE)
    assert response.status_code == 414
    assert str(MOST_URL) in told(response)["message"]


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
