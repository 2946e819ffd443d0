"""Which requests reach the API, over HTTP and WebSocket, and which are refused before anything is executed."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from eventscope.settings import Settings
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.clients.websocket import ACK, INIT, PROTOCOL
from tests.support.sample_log import SampleApi, sample_api

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUERY = {"query": "{ log { head } }"}
HEAD = {"data": {"log": {"head": 300}}}
FEED = "subscription { events { __typename } }"
OPEN = ["/healthz", "/readyz", "/metrics"]
OURS = "https://ours.example"
DATA = [
    ("POST", "/graphql", "application/json"),
    ("GET", "/graphql", "application/json"),
    ("POST", "/graphql", EVENTS),
    ("GET", "/graphql", EVENTS),
    *(("GET", f"/events/{name}", "*/*") for name in ("history", "replay", "stats", "aggregate")),
]
ORIGINS = "access-control-allow-origin"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(mongo_url: str, nats_url: str) -> AsyncIterator[SampleApi]:
    more = {"hosts": ("api.example.org",), "origins": (OURS,), "proxies": ("192.0.2.7",)}
    async with sample_api(mongo_url, nats_url, **more) as world:
        yield world


@pytest.fixture(scope="module")
def http(world: SampleApi) -> httpx.AsyncClient:
    return world.api.http


async def ask(http: httpx.AsyncClient, method: str, path: str, accept: str, **headers: str) -> httpx.Response:
    """The answer to one fixed query at this address."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"accept": accept}
    if path == "/graphql" and method == "GET":
        return await http.get(path, params=QUERY, headers=named)
    if path == "/events/aggregate":
        path += "?aggregateId=u1&aggregateType=user"
    return await http.request(method, path, json=QUERY if method == "POST" else None, headers=named)


async def raw(http: httpx.AsyncClient, *lines: str) -> int:
    """The status of the answer to a request that no client would send."""
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    try:
        writer.write("\r\n".join((*lines, "connection: close", "", "")).encode("latin-1"))
        async with asyncio.timeout(30):
            return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def shake(api: RunningApi, **headers: str) -> int:
    """The status of the answer to a WebSocket's handshake; 101 if the connection works."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    origin = named.pop("origin", None)
    try:
        async with connect(
            api.socket_url,
            subprotocols=[Subprotocol(PROTOCOL)],
            origin=None if origin is None else Origin(origin),
            additional_headers=named,
        ) as socket:
            await socket.send(orjson.dumps(INIT).decode())
            assert orjson.loads(await socket.recv()) == ACK
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def refusal(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    [error] = response.json()["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    message: str = error["message"]
    return message


# the requested name


@pytest.mark.parametrize(("method", "path", "accept"), [*DATA, ("GET", "/graphql", "text/html"), ("GET", "/", "*/*")])
async def test_a_request_for_a_foreign_name_gets_421_and_the_setting_to_change(
    http: httpx.AsyncClient, method: str, path: str, accept: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    response = await ask(http, method, path, accept, host="evil.example:8000", origin="http://evil.example:8000")
    assert response.status_code == 421
    assert "'evil.example:8000'" in refusal(response)
    assert "EVENTSCOPE_HOSTS" in refusal(response)
    assert "EVENTSCOPE_HOSTS" in caplog.text


@pytest.mark.parametrize("host", ["api.example.org", "API.example.org.:443", "ours.example", "localhost", "[::1]:80"])
@pytest.mark.parametrize(("method", "path", "accept"), DATA)
async def test_requests_for_our_names_and_for_addresses_are_answered(
    http: httpx.AsyncClient, method: str, path: str, accept: str, host: str
) -> None:
    assert (await ask(http, method, path, accept, host=host)).status_code == 200


@pytest.mark.parametrize("path", OPEN)
async def test_health_and_metrics_are_served_under_any_name(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path, headers={"host": "eventscope-api.svc:8000", "sec-fetch-site": "cross-site"})
    assert response.status_code in (200, 503)


@pytest.mark.parametrize(
    "hosts",
    [[], [""], ["a b"], ["user@localhost"], ["localhost", "localhost"], ["localhost", "evil.example"], ["[::1"]],
)
@pytest.mark.parametrize("path", ["/graphql?query={log{head}}", "/events/stats", "/nothing"])
async def test_a_request_with_no_host_or_several_gets_400(http: httpx.AsyncClient, path: str, hosts: list[str]) -> None:
    assert await raw(http, f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts)) == 400


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("evil.example", 421)])
async def test_an_absolute_address_in_the_request_line_does_not_override_host(
    http: httpx.AsyncClient, host: str, status: int
) -> None:
    for name in ("evil.example", "localhost"):
        assert await raw(http, f"GET http://{name}/events/stats HTTP/1.1", f"Host: {host}") == status


@given(host=st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40))
@examples(max_examples=150, deadline=None)
async def test_no_host_makes_it_fail(http: httpx.AsyncClient, host: str) -> None:
    assert await raw(http, "GET /events/stats?limit=0 HTTP/1.1", f"Host: {host}") in (400, 421)


async def test_a_websocket_must_use_one_of_our_names(world: SampleApi) -> None:
    async def handshake(host: str) -> bytes:
        reader, writer = await asyncio.open_connection(world.api.http.base_url.host, world.api.http.base_url.port)
        writer.write(
            f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{host}\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n".encode()
        )
        async with asyncio.timeout(30):
            first = await reader.readline()
            told = b"" if b"101" in first else await reader.read()
        writer.close()
        return first + told

    assert (await handshake("api.example.org")).startswith(b"HTTP/1.1 101")
    refused = await handshake("evil.example")
    assert refused.startswith(b"HTTP/1.1 421")
    assert b"EVENTSCOPE_HOSTS" in refused


# the page that sends the request


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


async def test_a_page_of_another_site_opens_no_websocket(world: SampleApi) -> None:
    assert await shake(world.api, origin="https://evil.example") == 403
    assert await shake(world.api, origin="null", sec_fetch_site="cross-site") == 403
    assert await shake(world.api, origin=OURS, sec_fetch_site="cross-site") == 101
    assert await shake(world.api, origin="https://public.example", sec_fetch_site="same-origin") == 101
    assert await shake(world.api) == 101


# pages of listed origins


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


# proxies


async def statuses(api: RunningApi, *forwarded: dict[str, str]) -> list[int]:
    """The statuses of event streams that are open at the same time, each with one of these sets of headers."""
    streams: list[Any] = []
    try:
        for headers in forwarded:
            one = open_stream(api.http, FEED, headers=headers)
            stream = await one.__aenter__()
            streams.append((one, stream.response.status_code))
        return [status for _, status in streams]
    finally:
        for one, _ in streams:
            await one.__aexit__(None, None, None)


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize(("proxies", "expected"), [((), [200, 503]), (("127.0.0.0/8",), [200, 200])])
async def test_clients_are_distinguished_by_what_a_trusted_proxy_reports_and_nobody_else(
    settings: Settings, proxies: tuple[str, ...], expected: list[int]
) -> None:
    chosen = settings.model_copy(update={"proxies": proxies, "connections_per_address": 1})
    async with running_api(chosen) as api:
        asked = [{"x-forwarded-for": f"198.51.100.{n}", "forwarded": f"for=198.51.100.{n}"} for n in range(2)]
        assert await statuses(api, *asked) == expected
        forged = [{"x-forwarded-for": f"203.0.113.{n}, 198.51.100.7"} for n in range(2)]
        assert await statuses(api, *forged) == [200, 503]


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize(("proxies", "welcome"), [((), False), (("127.0.0.1",), True)])
async def test_so_are_clients_on_websockets(settings: Settings, proxies: tuple[str, ...], welcome: bool) -> None:
    chosen = settings.model_copy(update={"proxies": proxies, "connections_per_address": 1})

    def socket(address: str) -> connect:
        protocols = [Subprotocol(PROTOCOL)]
        return connect(api.socket_url, subprotocols=protocols, additional_headers={"x-forwarded-for": address})

    async def is_welcome(client: ClientConnection) -> bool:
        try:
            await client.send(orjson.dumps(INIT).decode())
            return bool(orjson.loads(await client.recv()) == ACK)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1013
            return False

    async with running_api(chosen) as api, socket("198.51.100.1") as one:
        assert await is_welcome(one)
        async with socket("198.51.100.2") as other, socket("203.0.113.1, 198.51.100.1") as same:
            assert await is_welcome(other) == welcome
            assert not await is_welcome(same)


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)])
async def test_a_proxy_may_report_the_requested_host_if_it_is_one_of_ours(
    settings: Settings, proxies: tuple[str, ...]
) -> None:
    async with running_api(settings.model_copy(update={"proxies": proxies, "hosts": ("api.example.org",)})) as api:
        said = {"x_forwarded_host": "api.example.org", "origin": "https://api.example.org"}
        assert (await ask(api.http, *DATA[0], **said)).status_code == (200 if proxies else 403)
        assert await shake(api, **said) == (101 if proxies else 403)
        said = {"x_forwarded_host": "evil.example", "origin": "https://evil.example"}
        assert (await ask(api.http, *DATA[0], **said)).status_code == (421 if proxies else 403)
        # a header of the client's own, which some proxies pass on, does not hide the name that it requested
        said = {"x_forwarded_host": "api.example.org", "origin": "https://evil.example", "host": "evil.example"}
        assert (await ask(api.http, *DATA[0], **said)).status_code == 421
