"""Metrics: each process reports what it did, counts what really happened, and tells what it cannot know as unknown."""

import asyncio
import math
import re
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import nats
import orjson
import pytest
from nats.aio.client import Client
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventscope.background import end
from eventscope.errors import CannotStart, LeaseLost, QuestionTimedOut, Unavailable
from eventscope.metrics.api import ApiMetrics, RequestCounter
from eventscope.metrics.ingest import IngestMetrics
from eventscope.metrics.log import LogMetrics
from eventscope.processes.ports import free
from eventscope.processes.supervisor import Supervisor
from eventscope.schema.build import build
from eventscope.schema.context import Context
from eventscope.server.ingester import ingest
from eventscope.server.watchdog import Watchdog
from eventscope.settings import Settings
from eventscope.store.events import pages as read
from eventscope.store.log import Log, open_log
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.nats import stream
from tests.support import processes
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import EVENTS, open_stream
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.killable_servers import killable_nats
from tests.support.until import until

UNKNOWN = "unknown"
ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "operating.md"
HOST = "127.0.0.1"
FEED = "subscription { events(from: BEGINNING) { __typename ... on Event { id } } }"


class Figures:
    """What an address reports."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, *labels: str) -> float | str | None:
        value = self.samples.get((f"eventscope_{name}", *sorted(labels)))
        return UNKNOWN if value is not None and math.isnan(value) else value

    def total(self, name: str) -> float:
        """Over all labels."""
        return sum(value for (sample, *_), value in self.samples.items() if sample == f"eventscope_{name}")


async def figures(address: str) -> Figures:
    async with httpx.AsyncClient(timeout=60.0) as http:
        answer = await http.get(f"{address}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return Figures(answer.text)


@asynccontextmanager
async def ingester(settings: Settings) -> AsyncIterator[str]:
    """An ingester that is watched over; its address."""
    own = settings.model_copy(update={"ingest_port": free()})
    task = asyncio.create_task(ingest(own))
    try:
        yield f"http://{HOST}:{own.ingest_port}"
    finally:
        await end(task)


async def state(address: str) -> tuple[int, Mapping[str, Any]]:
    async with httpx.AsyncClient() as http:
        with suppress(httpx.TransportError):
            answer = await http.get(f"{address}/readyz")
            return answer.status_code, answer.json()
    return 0, {}


async def becomes(address: str, status: str) -> None:
    async def is_so() -> bool:
        return (await state(address))[1].get("status") == status

    await until(is_so)


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


def address(api: RunningApi) -> str:
    return str(api.http.base_url).rstrip("/")


async def publish(client: Client, prefix: str, *messages: bytes, headers: dict[str, str] | None = None) -> None:
    for message in messages:
        await client.jetstream().publish(f"{prefix}.user.updated", message, headers=headers)


# what an ingester reports


async def test_an_ingester_counts_events_rejections_by_code_duplicates_batches_and_delays(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    good = [orjson.dumps({"messageId": f"m{n}"}) for n in range(20)]
    await publish(client, subject_prefix, *good, good[3], good[4], b"no json", b"[")
    user = {"aggregateType": "user", "aggregateId": "1"}
    await publish(client, subject_prefix, orjson.dumps(user), headers={"Eventscope-Expected-Version": "6"})
    await publish(client, subject_prefix, b'{"messageId": "last"}')
    async with ingester(settings) as watched:
        await until(lambda: read.event(log, "last"))
        await becomes(watched, "ingesting")
        found = await figures(watched)
    assert found("ingest_events_total") == 21
    assert found("ingest_duplicates_total") == 2
    assert found("ingest_rejected_total", "INVALID_JSON") == 2
    assert found("ingest_rejected_total", "VERSION_CONFLICT") == 1
    assert found("ingest_batch_messages_sum") == 26
    assert 1 <= found.total("ingest_batch_messages_count") <= 26
    assert found("ingest_batch_seconds_count") == found("ingest_batch_messages_count")
    assert found("ingest_commit_delay_seconds_count") == 21
    assert (found("ingest_active"), found("ingest_starts_total"), found("ingest_lease_changes_total")) == (1, 1, 1)
    assert found("ingest_source_resets_total") == 0
    assert found("ingest_claims_differing_total") == 0
    assert found("log_head") == 21
    assert found("log_rejected") == 3
    assert found("log_lag_events") == 0


async def test_an_ingester_counts_versions_that_are_claimed_and_not_given(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    user = {"aggregateType": "user", "aggregateId": "1"}
    claims = [*(user | {"version": version} for version in (1, 1, 3, 9)), {"version": 5}, user | {"version": "2.1"}]
    await publish(client, subject_prefix, *map(orjson.dumps, claims), b'{"messageId": "last"}')
    async with ingester(settings) as watched:
        await until(lambda: read.event(log, "last"))
        found = await figures(watched)
    # what is of no aggregate has no version that could differ
    assert found("ingest_claims_differing_total") == 2


async def test_an_ingester_counts_when_its_stream_was_made_anew(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await publish(client, subject_prefix, b'{"messageId": "before"}')
    async with ingester(settings):
        await until(lambda: read.event(log, "before"))
    await client.jetstream().delete_stream(settings.stream)
    await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
    await publish(client, subject_prefix, b'{"messageId": "after"}')
    async with ingester(settings) as watched:
        await until(lambda: read.event(log, "after"))
        found = await figures(watched)
    assert found("ingest_source_resets_total") == 1
    assert found("log_source_resets") == 1


async def test_an_ingester_that_stands_by_is_well_and_counts_its_taking_over(
    settings: Settings, log: Log, client: Client
) -> None:
    async with AsyncExitStack() as stack:
        async with ingester(settings) as first:
            await becomes(first, "ingesting")
            second = await stack.enter_async_context(ingester(settings))
            await becomes(second, "standing by")
            found = await figures(second)
            assert (found("ingest_active"), found("ingest_lease_changes_total"), found("log_ingesting")) == (0, 0, 1)
            assert (await figures(first))("ingest_active") == 1
        await becomes(second, "ingesting")
        found = await figures(second)
        assert (found("ingest_active"), found("ingest_lease_changes_total"), found("log_lease_term")) == (1, 1, 2)


async def test_an_ingester_without_nats_says_so_counts_its_errors_and_goes_on(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        async with killable_nats(tmp_path) as server:
            own = settings.model_copy(update={"nats_url": server.url})
            watched = await stack.enter_async_context(ingester(own))
            await becomes(watched, "ingesting")
        await becomes(watched, "not ready")
        code, said = await state(watched)
        assert (code, "NATS" in said["reasons"][0]) == (503, True)
        found = await figures(watched)
        assert found.total("ingest_errors_total") >= 1
        assert (found("ingest_active"), found("log_up")) == (0, 1)
        assert found("log_lag_events") is UNKNOWN
        async with killable_nats(tmp_path, server.port):
            await becomes(watched, "ingesting")
            assert (await figures(watched)).total("ingest_starts_total") >= 2


async def test_an_ingester_whose_port_is_taken_does_not_start(settings: Settings, log: Log, client: Client) -> None:
    with socket.create_server((HOST, 0)) as other:
        taken = settings.model_copy(update={"ingest_port": other.getsockname()[1]})
        with pytest.raises(CannotStart, match="set EVENTSCOPE_INGEST_PORT to another port, or to 0 for none"):
            await ingest(taken)


async def test_an_ingester_that_is_watched_still_ends_when_it_is_asked_to(
    settings: Settings, log: Log, client: Client
) -> None:
    watched = settings.model_copy(update={"ingest_port": free()})
    async with processes.eventscope_process(watched, "ingest") as process:
        await becomes(f"http://{HOST}:{watched.ingest_port}", "ingesting")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_an_ingester_lives_from_its_first_moment_and_is_ready_when_it_reads(log: Log) -> None:
    async def lag() -> Lag | None:
        return None

    metrics = IngestMetrics()
    transport = httpx.ASGITransport(Starlette(routes=metrics.routes(log, lag)))
    async with httpx.AsyncClient(transport=transport, base_url="http://ingester") as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        starting = await http.get("/readyz")
        assert (starting.status_code, starting.headers["retry-after"]) == (503, "1")
        assert starting.json() == {"status": "not ready", "reasons": ["the ingester is starting"]}
        metrics.on_start(1)
        assert (await http.get("/readyz")).json() == {"status": "ingesting"}


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (LeaseLost("another took over"), "lease_lost", "another took over"),
        (QuestionTimedOut(10), "timeout", "the answer took longer than 10 seconds; narrow the query"),
        (Unavailable("MongoDB does not answer now"), "unavailable", "MongoDB does not answer now"),
        (nats.errors.TimeoutError(), "nats", "NATS does not answer"),
    ],
)
def test_errors_of_an_ingester_are_counted_by_kind(error: Exception, kind: str, reason: str) -> None:
    metrics = IngestMetrics()
    metrics.on_stop(error)
    assert metrics.registry.get_sample_value("eventscope_ingest_errors_total", {"kind": kind}) == 1
    assert metrics.trouble == reason


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


async def test_an_api_counts_sockets_followers_deliveries_and_the_delay_of_live_events(
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
    # that a subscriber leaves is no failure
    assert (await figures(address(api)))("operations_total", "subscription", "OK") == 2


async def test_an_api_counts_event_streams_and_what_it_closed_and_not_how_long_a_stream_lasts(
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


async def test_an_operation_that_is_given_up_is_counted_as_such(api: RunningApi) -> None:
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


async def test_what_is_known_of_a_log_that_cannot_be_read_is_told_as_unknown() -> None:
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


async def test_metrics_come_in_the_format_that_prometheus_asks_for(api: RunningApi) -> None:
    answer = await api.http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.endswith("# EOF\n")


def test_two_processes_in_one_share_nothing() -> None:
    one, other = ApiMetrics(), ApiMetrics()
    one.on_delivery()
    assert one.registry.get_sample_value("eventscope_delivered_events_total") == 1
    assert other.registry.get_sample_value("eventscope_delivered_events_total") == 0


# docs/operating.md


def test_the_document_has_every_metric_with_its_kind_and_meaning() -> None:
    rows = re.findall(r"^\| `(eventscope_\w+)` \| (\w+) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    keeper = Watchdog(Supervisor(), {}, 1.0).registry
    assert sorted(rows) == sorted(
        reported(IngestMetrics().registry) | reported(ApiMetrics().registry) | reported(keeper)
    )


def test_no_document_names_a_metric_that_is_not_there() -> None:
    registries = [IngestMetrics().registry, ApiMetrics().registry, Watchdog(Supervisor(), {}, 1.0).registry]
    there = {name for registry in registries for name, _, _ in reported(registry)}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {(page.name, name) for page in pages for name in re.findall(r"\beventscope_[a-z_]+", page.read_text())}
    assert {one for one in named if one[1] not in there} == set()


def reported(registry: CollectorRegistry) -> set[tuple[str, str, str]]:
    """Name, kind and meaning of all that Eventscope itself reports."""
    suffix = {"counter": "_total", "info": "_info"}
    families = [family for family in registry.collect() if family.name.startswith("eventscope")]
    return {(one.name + suffix.get(one.type, ""), one.type, one.documentation) for one in families}


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
