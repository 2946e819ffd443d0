"""Metrics of an ingester: they count what really happened, and say whether it is ready."""

import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import nats
import orjson
import pytest
from nats.aio.client import Client
from starlette.applications import Starlette

from eventscope.errors import CannotStart, LeaseLost, QuestionTimedOut, Unavailable
from eventscope.metrics.ingest import IngestMetrics
from eventscope.processes.ports import free
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.events import pages as read
from eventscope.store.log import Log
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.nats import stream
from tests.metrics.support.figures import HOST, UNKNOWN, becomes, figures, ingester, publish, state
from tests.support import processes
from tests.support.killable_servers import killable_nats
from tests.support.until import until

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


async def test_an_ingester_counts_claims_that_differ_from_the_assigned_versions(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    user = {"aggregateType": "user", "aggregateId": "1"}
    claims = [*(user | {"version": version} for version in (1, 1, 3, 9)), {"version": 5}, user | {"version": "2.1"}]
    await publish(client, subject_prefix, *map(orjson.dumps, claims), b'{"messageId": "last"}')
    async with ingester(settings) as watched:
        await until(lambda: read.event(log, "last"))
        found = await figures(watched)
    # an event without an aggregate has no version that could differ
    assert found("ingest_claims_differing_total") == 2


async def test_an_ingester_counts_that_its_stream_was_recreated(
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


async def test_an_ingester_that_stands_by_is_healthy_and_counts_its_takeover(
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


async def test_an_ingester_without_nats_reports_it_counts_its_errors_and_continues(
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


async def test_an_ingester_with_metrics_still_ends_on_a_signal(settings: Settings, log: Log, client: Client) -> None:
    watched = settings.model_copy(update={"ingest_port": free()})
    async with processes.eventscope_process(watched, "ingest") as process:
        await becomes(f"http://{HOST}:{watched.ingest_port}", "ingesting")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_an_ingester_is_alive_from_the_start_and_ready_when_it_reads(log: Log) -> None:
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
    assert metrics.reason == reason
