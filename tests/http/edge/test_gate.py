"""Which names the API answers to, over HTTP and WebSocket, and which client a proxy speaks for."""

import asyncio
import logging
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from eventscope.settings import Settings
from tests.http.support.gate_requests import DATA, ask, raw, refusal, shake
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import open_stream
from tests.support.clients.websocket import ACK, INIT, PROTOCOL
from tests.support.sample_log import SampleApi

pytestmark = pytest.mark.asyncio(loop_scope="module")


FEED = "subscription { events { __typename } }"
OPEN = ["/healthz", "/readyz", "/metrics"]


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


async def test_a_websocket_must_use_one_of_our_names(sample: SampleApi) -> None:
    async def handshake(host: str) -> bytes:
        reader, writer = await asyncio.open_connection(sample.api.http.base_url.host, sample.api.http.base_url.port)
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
