"""Metrics of an API: they count what really happened, and report as unknown what the API cannot know."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from nats.aio.client import Client
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventscope.metrics.api import ApiMetrics, RequestCounter
from eventscope.metrics.log import LogMetrics
from eventscope.processes.ports import free
from eventscope.schema.build import build
from eventscope.schema.context import Context
from eventscope.settings import Settings
from eventscope.store.events import pages as read
from eventscope.store.log import Log, open_log
from eventscope.subscriptions.ingest.lag import Lag
from tests.metrics.support.figures import (
    FEED,
    HOST,
    address,
    figures,
    publish,
)
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.until import until


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


# what an API process reports


async def test_an_api_counts_operations_by_kind_and_outcome(
    api: RunningApi, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await api.ask("{ log { head } }")
    await api.ask("{ log { head } }")
    await api.refusal("{ nonsense }")
    await api.refusal("{")
    await api.refusal("query a { __typename } query b { __typename }")
    await api.refusal('{ events(after: "nonsense") { nodes { id } } }')
    await api.refusal(FEED)
    await api.ask(f'mutation {{ publishEvent(input: {{type: "{subject_prefix}.done"}}) {{ position }} }}')
    found = await figures(address(api))
    assert found("operations_total", "query", "OK") == 2
    assert found("operations_total", "query", "BAD_USER_INPUT") == 3
    assert found("operations_total", "unknown", "BAD_USER_INPUT") == 1
    assert found("operations_total", "subscription", "BAD_USER_INPUT") == 1
    assert found("operations_total", "mutation", "OK") == 1
    assert found("operation_seconds_count", "query") == 5
    assert found("operation_seconds_count", "mutation") == 1
    assert found("operation_seconds_count", "subscription") is None


async def test_an_api_counts_requests_by_path_and_status(api: RunningApi) -> None:
    await api.ask("{ log { head } }")
    await api.http.post("/graphql", content="{}", headers={"content-type": "text/plain"})
    await api.http.get("/events/stats")
    await api.http.get("/events/history?limit=0")
    for n in range(3):
        await api.http.get(f"/made/up/{n}")
    found = await figures(address(api))
    assert found("http_requests_total", "/graphql", "200") == 1
    assert found("http_requests_total", "/graphql", "415") == 1
    assert found("http_requests_total", "/events/stats", "200") == 1
    assert found("http_requests_total", "/events/history", "400") == 1
    assert found("http_requests_total", "other", "404") == 3
    assert found("http_request_seconds_count", "/graphql") == 2
    assert not any("/made" in label for labels in found.samples for label in labels)


async def test_an_api_counts_sockets_subscriptions_deliveries_and_the_delay_of_live_events(
    api: RunningApi, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await publish(client, subject_prefix, *(b"{}" for _ in range(5)))
    await until(lambda: read.first_position(log))
    async with open_socket(api.socket_url) as one, open_socket(api.socket_url) as other:
        for socket_ in (one, other):
            await socket_.say(subscribe("1", FEED))
            while (await socket_.hear())["payload"]["data"]["events"]["__typename"] != "CaughtUp":
                pass
        found = await figures(address(api))
        assert (found("websockets"), found("followers")) == (2, 2)
        before = found.total("live_events_total")
        await publish(client, subject_prefix, *(b"{}" for _ in range(3)))
        for socket_ in (one, other):
            for _ in range(3):
                await socket_.hear()
        found = await figures(address(api))
        assert found("delivered_events_total") == 16
        assert found("live_events_total") == before + 3
        assert found("live_delay_seconds_count") == before + 3

    async def gone() -> bool:
        found = await figures(address(api))
        return (found("websockets"), found("followers")) == (0, 0)

    await until(gone)
    # a subscriber that leaves is not a failure
    assert (await figures(address(api)))("operations_total", "subscription", "OK") == 2


async def test_an_api_counts_event_streams_and_what_it_closed_but_not_how_long_a_stream_lasts(
    settings: Settings, log: Log, client: Client
) -> None:
    async with running_api(settings.model_copy(update={"connections_per_address": 1})) as api:
        async with open_stream(api.http, FEED) as stream:
            await stream.next()
            found = await figures(address(api))
            assert (found("event_streams"), found("followers"), found("websockets")) == (1, 1, 0)
            assert (
                await api.http.post("/graphql", json={"query": FEED}, headers={"accept": EVENTS})
            ).status_code == 503
            assert (await figures(address(api)))("dropped_connections_total", "full") == 1

        async def gone() -> bool:
            found = await figures(address(api))
            return (found("event_streams"), found("followers")) == (0, 0)

        await until(gone)
        assert (await figures(address(api)))("http_requests_total", "/graphql", "200") == 1


async def test_an_api_reports_how_far_the_log_is_behind(
    api: RunningApi, log: Log, client: Client, subject_prefix: str
) -> None:
    await publish(client, subject_prefix, b"{}", b"{}", b"{}")
    found = await figures(address(api))
    assert (found("log_up"), found("log_head"), found("log_ingesting"), found("log_lag_events")) == (1, 0, 0, 3)
    assert found.total("log_lag_seconds") > 0


async def test_an_operation_whose_client_has_left_is_counted_as_such(api: RunningApi) -> None:
    metrics, asked = ApiMetrics(), asyncio.Event()
    ended: list[asyncio.Task[Any] | None] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.current_task())
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(silent, HOST, 0) as server:
        async with open_log(f"mongodb://{HOST}:{server.sockets[0].getsockname()[1]}", "test") as log:
            context = Context(replace(api.services, log=log))
            asking = asyncio.create_task(build(metrics).execute("{ log { head } }", context_value=context))
            await asked.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await asyncio.gather(*(task for task in ended if task is not None))
    given_up = {"kind": "query", "code": "GIVEN_UP"}
    assert metrics.registry.get_sample_value("eventscope_operations_total", given_up) == 1


async def test_the_state_of_a_log_that_cannot_be_read_is_reported_as_unknown() -> None:
    registry = CollectorRegistry()
    metrics = LogMetrics(registry)

    async def lag() -> Lag | None:
        return None

    async with open_log(f"mongodb://{HOST}:{free()}", "test") as log:
        await metrics.look(log, lag)
    values = {sample.name: sample.value for family in registry.collect() for sample in family.samples}
    assert values.pop("eventscope_log_up") == 0
    assert len(values) == 10
    assert all(math.isnan(value) for value in values.values())


async def test_metrics_have_the_format_that_prometheus_requests(api: RunningApi) -> None:
    answer = await api.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.endswith("# EOF\n")


async def test_a_counter_that_fails_does_not_fail_the_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no counter")

    async def answer(request: Request) -> Response:
        return Response("fine")

    metrics = ApiMetrics()
    monkeypatch.setattr(metrics, "on_request", broken)
    transport = httpx.ASGITransport(RequestCounter(Starlette(routes=[Route("/", answer)]), metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        assert (await http.get("/")).text == "fine"
    assert any("a request is not counted" in record.getMessage() for record in caplog.records)
