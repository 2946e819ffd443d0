"""Requests that no endpoint serves are refused in the form that all errors have, and the log says why."""

import logging
from contextlib import suppress

import httpx
import orjson
import pytest
from nats.aio.client import Client
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from eventscope.http.health import alive
from eventscope.metrics.side_server import serve_beside
from eventscope.processes.ports import HOST, free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import running_api
from tests.support.clients.websocket import open_socket
from tests.support.until import until


async def test_wrong_addresses_and_methods_get_errors_in_the_usual_form(
    settings: Settings, log: Log, client: Client
) -> None:
    async with running_api(settings) as api:
        for method, path, status, said in (
            ("GET", "/nothing", 404, "there is no '/nothing'; there are /graphql, /events/…,"),
            ("POST", "/nothing/at/all", 404, "there is no '/nothing/at/all'; "),
            ("POST", "/healthz", 405, "'/healthz' takes GET"),
            ("DELETE", "/metrics", 405, "'/metrics' takes "),
            ("GET", f"/{'x' * 4000}", 404, "there is no '/xxx"),
        ):
            response = await api.http.request(method, path)
            [error] = response.json()["errors"]
            assert (response.status_code, error["extensions"]) == (status, {"code": "BAD_USER_INPUT"})
            assert error["message"].startswith(said)
            assert len(error["message"]) < 300
            assert ("GET" in response.headers.get("allow", "")) == (status == 405)
            page = await api.http.request(method, path, headers={"accept": "text/html"})
            assert page.headers["content-type"].startswith("text/plain" if method == "GET" else "application/json")


async def test_a_temporary_refusal_says_when_to_retry(settings: Settings, log: Log, client: Client) -> None:
    async with running_api(settings) as api:
        response = await api.http.get("/readyz")  # no ingester is at work
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_an_ingester_answers_in_the_same_form() -> None:
    port = free()
    async with serve_beside(HOST, port, [alive()]), httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as http:

        async def answer() -> httpx.Response | None:
            with suppress(httpx.TransportError):
                return await http.get("/graphql")
            return None

        response = await until(answer)
    assert response is not None
    assert response.status_code == 404
    [error] = response.json()["errors"]
    assert error["message"] == "there is no '/graphql'; there are /healthz, /readyz and /metrics"


async def test_a_refused_websocket_gets_the_reason_and_the_log_has_it_without_an_error(
    settings: Settings, log: Log, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running_api(settings) as api:
        for url, headers, status, said in (
            (api.socket_url.replace("graphql", "nothing"), {}, 404, "there is no WebSocket at '/nothing'"),
            (api.socket_url, {"Origin": "https://evil.example"}, 403, "may not use"),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(url, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status
            assert said in orjson.loads(refused.value.response.body)["errors"][0]["message"]
            assert any(said in record.getMessage() for record in caplog.records if record.name == "eventscope.errors")
        async with open_socket(api.socket_url, init=False, protocols=["soap"]) as socket:
            assert (await socket.end())[0] == 4406
        await until(lambda: "a WebSocket is closed with 4406: " in caplog.text)
        broken = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        assert (await api.http.get("/graphql", headers=broken)).status_code == 400
        await until(lambda: "a WebSocket is refused with 400: " in caplog.text)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
