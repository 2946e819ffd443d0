"""Redirects from addresses that are almost those of the API, even behind a proxy that removes a prefix."""

from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx
import pytest
import pytest_asyncio

from eventscope.settings import Settings
from tests.support.api_server import running_api
from tests.support.clients.websocket import open_socket
from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    async with sample_api(mongo_url, nats_url) as sample:
        yield sample


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_root_redirects_to_the_page_whatever_the_prefix(http: httpx.AsyncClient, method: str) -> None:
    response = await http.request(method, "/")
    assert response.status_code == 307
    assert urljoin("https://public.example/log/", response.headers["location"]) == "https://public.example/log/graphql"
    asked = await http.request(method, "/?query=%7Ba%7D&b=%26")
    assert asked.headers["location"] == "graphql?query=%7Ba%7D&b=%26"
    page = await http.get("/", headers={"accept": "text/html"}, follow_redirects=True)
    assert page.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.asyncio(loop_scope="function")
async def test_without_the_page_the_root_lists_what_there_is(settings: Settings) -> None:
    async with running_api(settings.model_copy(update={"graphiql": False})) as api:
        response = await api.http.get("/", headers={"accept": "text/html"})
        assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        named = [line.split()[0] for line in response.text.splitlines()[2:]]
        assert named == ["graphql", "events/history", "readyz", "metrics"]
        for path in named[1:]:
            assert (await api.http.get(f"/{path}")).status_code in (200, 503)


@pytest.mark.parametrize(
    "path",
    ["/graphql", "/events/history", "/events/stats", "/healthz", "/readyz", "/metrics", "/graphql?query=%7Ba%7D&b=%26"],
)
async def test_an_extra_slash_redirects_to_the_address_without_it(http: httpx.AsyncClient, path: str) -> None:
    name, mark, query = path.partition("?")
    address = f"{name}/{mark}{query}"
    for method in ("GET", "POST"):
        response = await http.request(method, address)
        assert response.status_code == 307
        for before in ("http://127.0.0.1:8000", "https://public.example/log"):
            assert urljoin(before + address, response.headers["location"]) == before + path


async def test_a_query_posted_with_an_extra_slash_is_answered(http: httpx.AsyncClient) -> None:
    response = await http.post("/graphql/", json={"query": "{ log { head } }"}, follow_redirects=True)
    assert response.json() == {"data": {"log": {"head": 300}}}


async def test_a_websocket_which_follows_no_redirects_is_opened_despite_an_extra_slash(sample: SampleApi) -> None:
    async with open_socket(f"{sample.api.socket_url}/") as socket:
        assert await socket.is_open()


@pytest.mark.parametrize("path", ["//", "/graphql//", "/nothing/", "/events/", "//evil.example/", "/graphql/assets/"])
async def test_nothing_else_redirects(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(str(http.base_url).rstrip("/") + path)
    assert response.status_code == 404
