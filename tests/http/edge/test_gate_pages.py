"""Which pages may use the API, over HTTP and WebSocket, and read its answers."""

import logging

import httpx
import pytest

from eventscope.settings import Settings
from tests.http.support.gate_requests import DATA, ORIGINS, OURS, QUERY, ask, raw, refusal, shake
from tests.support.api_server import running_api
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize(("method", "path", "accept"), DATA)
async def test_a_page_of_another_site_is_refused_everywhere(
    http: httpx.AsyncClient, method: str, path: str, accept: str, site: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for origin in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
        response = await ask(http, method, path, accept, sec_fetch_site=site, **origin)
        assert response.status_code == 403
        assert "EVENTSCOPE_ORIGINS" in refusal(response)
        assert ORIGINS not in response.headers
    assert "'https://evil.example' may not use '127.0.0.1:" in caplog.text


@pytest.mark.parametrize(("method", "path", "accept"), DATA)
async def test_so_is_one_whose_browser_sends_only_its_origin(
    http: httpx.AsyncClient, method: str, path: str, accept: str
) -> None:
    own = str(http.base_url).rstrip("/")
    assert (await ask(http, method, path, accept, origin=own)).status_code == 200
    for other in ("http://127.0.0.1:1", "null", own + "0", "https://evil.example"):
        assert (await ask(http, method, path, accept, origin=other)).status_code == 403


@pytest.mark.parametrize(("method", "path", "accept"), DATA)
async def test_our_own_pages_and_typed_addresses_are_answered(
    http: httpx.AsyncClient, method: str, path: str, accept: str
) -> None:
    for own in ("same-origin", "none"):
        assert (await ask(http, method, path, accept, sec_fetch_site=own)).status_code == 200
    assert (await ask(http, method, path, accept)).status_code == 200


async def test_a_link_on_another_site_opens_the_page(http: httpx.AsyncClient) -> None:
    browser = {"accept": "text/html,*/*;q=0.8", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    response = await http.get("/graphql", params=QUERY, headers=browser)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
async def test_a_repeated_header_about_the_page_gets_400(http: httpx.AsyncClient, header: str) -> None:
    twice = [f"{header}: {OURS}", f"{header}: same-origin"]
    assert await raw(http, "GET /events/stats HTTP/1.1", "Host: localhost", *twice) == 400


async def test_a_page_of_another_site_opens_no_websocket(sample: SampleApi) -> None:
    assert await shake(sample.api, origin="https://evil.example") == 403
    assert await shake(sample.api, origin="null", sec_fetch_site="cross-site") == 403
    assert await shake(sample.api, origin=OURS, sec_fetch_site="cross-site") == 101
    assert await shake(sample.api, origin="https://public.example", sec_fetch_site="same-origin") == 101
    assert await shake(sample.api) == 101


@pytest.mark.parametrize(("method", "path", "accept"), DATA)
async def test_a_page_of_a_listed_origin_may_query_and_read_the_answer(
    http: httpx.AsyncClient, method: str, path: str, accept: str
) -> None:
    response = await ask(http, method, path, accept, origin=OURS, sec_fetch_site="cross-site")
    assert response.status_code == 200
    assert response.headers[ORIGINS] == OURS
    assert response.headers["access-control-expose-headers"] == "*"
    assert "Origin" in response.headers["vary"].split(", ")
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/graphql", {"content-type": "application/json"}, b"{", 400),
        ("POST", "/graphql", {"content-type": "text/plain"}, b"{}", 415),
        ("POST", "/graphql", {"content-type": "application/json"}, b" " * 300_000, 413),
        ("POST", "/graphql", {"content-type": "application/json", "accept": "text/plain"}, b"{}", 406),
        ("PUT", "/graphql", {}, b"", 405),
        ("GET", "/graphql?query=" + "x" * 9000, {}, b"", 414),
        ("GET", "/events/history?limit=0", {}, b"", 400),
        ("POST", "/events/history", {}, b"", 405),
        ("GET", "/events/nothing", {}, b"", 404),
        ("GET", "/events/history", {"host": "evil.example"}, b"", 421),
    ],
)
async def test_a_page_of_a_listed_origin_may_read_errors_too(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = await http.request(method, path, content=body, headers=headers | {"origin": OURS})
    assert (response.status_code, response.headers[ORIGINS]) == (status, OURS)


@pytest.mark.parametrize("path", ["/graphql", "/events/history"])
async def test_a_preflight_request_is_answered_with_what_such_a_page_may_send(
    http: httpx.AsyncClient, path: str
) -> None:
    asked = {
        "origin": OURS,
        "sec-fetch-site": "cross-site",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,last-event-id,traceparent",
    }
    response = await http.options(path, headers=asked)
    assert (response.status_code, response.content, response.headers[ORIGINS]) == (204, b"", OURS)
    assert response.headers["access-control-allow-methods"] == "GET, POST"
    assert response.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
    assert {"Origin", "Access-Control-Request-Headers"} <= set(response.headers["vary"].split(", "))
    assert "access-control-allow-private-network" not in response.headers
    response = await http.options(path, headers=asked | {"access-control-request-private-network": "true"})
    assert response.headers["access-control-allow-private-network"] == "true"
    response = await http.options(path, headers=asked | {"origin": "https://evil.example"})
    assert (response.status_code, ORIGINS in response.headers) == (403, False)


async def test_answers_vary_by_origin_even_for_clients_that_send_none(http: httpx.AsyncClient) -> None:
    assert "Origin" in (await http.post("/graphql", json=QUERY)).headers["vary"].split(", ")


@pytest.mark.asyncio(loop_scope="function")
async def test_a_star_lets_pages_of_any_site_query(settings: Settings) -> None:
    async with running_api(settings.model_copy(update={"origins": ("*",)})) as api:
        for origin in ("https://any.example", "null"):
            response = await ask(api.http, "POST", "/graphql", "*/*", origin=origin, sec_fetch_site="cross-site")
            assert (response.status_code, response.headers[ORIGINS]) == (200, "*")
            assert "Origin" not in response.headers["vary"]
            asked = {"origin": origin, "access-control-request-method": "POST"}
            assert (await api.http.options("/graphql", headers=asked)).headers[ORIGINS] == "*"
            assert await shake(api, origin=origin, sec_fetch_site="cross-site") == 101


@pytest.mark.asyncio(loop_scope="function")
async def test_if_no_origin_is_listed_answers_have_no_cors_headers(settings: Settings) -> None:
    async with running_api(settings) as api:
        response = await ask(api.http, "POST", "/graphql", "*/*")
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert "Origin" not in response.headers["vary"]
