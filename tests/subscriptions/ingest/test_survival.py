"""Ingest survives ingesters that are killed, streams that are lost or recreated, and servers that go away."""

import asyncio
import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path

import nats
import orjson
import pytest
from nats.aio.client import Client

from eventscope.background import end
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log, open_log, synchronise
from eventscope.store.state import checkpoint
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.nats import stream
from tests.support.ingesters import (
    MANY,
    has_lease,
    has_reached,
    ingester,
    ingester_process,
    log_and_client,
    publish,
    try_to_publish,
    wait_for_events,
)
from tests.support.killable_servers import killable_nats
from tests.support.until import until


async def test_an_ingester_that_is_killed_ten_times_stores_everything_once_and_in_order(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    chance = random.Random(7)

    async def publish() -> None:
        js = client.jetstream()
        for number in range(MANY):
            message = {"aggregateType": "user", "aggregateId": str(number % 50), "data": number}
            await js.publish(f"{subject_prefix}.user.updated", orjson.dumps(message))

    publishing = asyncio.create_task(publish())
    settings = settings.model_copy(update={"batch": 20, "lease_seconds": 0.5})
    for kill in range(10):
        head = (await checkpoint.read(log)).head
        ingester = await ingester_process(settings)
        # somewhere in the middle of its work, which it never completes
        target = head + chance.randint(1, 300)
        await until(partial(has_reached, log, target))
        os.kill(ingester.pid, signal.SIGKILL)
        await ingester.wait()
        assert head < (await checkpoint.read(log)).head < MANY, kill
    await publishing
    ingester = await ingester_process(settings)
    events = await wait_for_events(log, MANY)
    ingester.terminate()
    assert await ingester.wait() == 0
    assert [event["data"] for event in events] == list(range(MANY))
    assert [event["_id"] for event in events] == list(range(1, MANY + 1))
    assert [event["version"] for event in events] == [number // 50 + 1 for number in range(MANY)]
    assert sum(cell.n for cell in await counts.cells(log, Scope())) == MANY
    assert await log.rejected.count_documents({}) == 0


async def test_a_second_ingester_stands_by_and_takes_over(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 1.0})
    first = await ingester_process(settings)
    await until(lambda: has_lease(log))
    async with ingester(settings):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
        term = (await checkpoint.read(log)).term
        first.kill()
        await first.wait()
        await publish(client, subject_prefix, 10, start=10)
        assert len(await wait_for_events(log, 20)) == 20
        assert (await checkpoint.read(log)).term > term


async def test_a_recreated_stream_is_read_from_its_start_and_repeated_messages_are_dropped(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
    js = client.jetstream()
    await js.delete_stream(settings.stream)
    await stream.ensure(js, settings.stream, settings.subjects)
    await publish(client, subject_prefix, 30)
    async with ingester(settings):
        events = await wait_for_events(log, 30)
    assert [event["messageId"] for event in events] == [f"m{number}" for number in range(30)]
    assert (await checkpoint.read(log)).source_resets == 1


async def test_a_stream_that_lost_its_last_messages_and_assigns_sequences_again_loses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    """The store directory is restored to before the last 20 messages, as after a power failure."""
    folder, before = tmp_path / "nats", tmp_path / "before"
    prefix = settings.subjects[0].removesuffix(".>")
    async with killable_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with log_and_client(settings) as (log, client):
            await publish(client, prefix, 20)
    shutil.copytree(folder, before)
    async with killable_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with log_and_client(settings) as (log, client), ingester(settings):
            await publish(client, prefix, 20, start=20)
            await wait_for_events(log, 40)
    shutil.rmtree(folder)
    shutil.copytree(before, folder)
    async with killable_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with log_and_client(settings) as (log, client):
            # as many new ones as were lost: every stored sequence exists again, with another message
            await publish(client, prefix, 20, start=100)
            async with ingester(settings):
                events = await wait_for_events(log, 60)
            new = [event["messageId"] for event in events[40:]]
            assert new == [f"m{number}" for number in range(100, 120)]
            at = await checkpoint.read(log)
            assert (at.source_resets, at.lost) == (1, ())


async def test_what_was_published_while_mongodb_or_nats_was_down_is_stored_when_they_are_back(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path
    prefix = settings.subjects[0].removesuffix(".>")
    async with killable_nats(folder) as server:
        port, settings = server.port, settings.model_copy(update={"nats_url": server.url})
        async with log_and_client(settings) as (log, client):
            task = asyncio.create_task(ingest(settings))
            await publish(client, prefix, 5)
            await wait_for_events(log, 5)
    async with open_log(settings.mongo_url, settings.mongo_database) as log, killable_nats(folder, port) as server:
        await synchronise(log)
        client = await nats.connect(server.url)
        await until(lambda: try_to_publish(client, prefix, 5))
        events = await wait_for_events(log, 10)
        assert (await checkpoint.read(log)).lost == ()
        await client.close()
        await end(task)
    assert [event["messageId"] for event in events] == [f"m{number}" for number in range(10)]


async def test_a_stream_that_must_not_be_trimmed_is_still_read(
    settings: Settings,
    log: Log,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = await nats.connect(settings.nats_url)
    await client.jetstream().add_stream(name=settings.stream, subjects=list(settings.subjects), deny_purge=True)
    async with ingester(settings.model_copy(update={"stream_keep_hours": 0.0}), IngestLimits(trim_seconds=0.0)):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
        await until(lambda: "could not be trimmed" in caplog.text)
        await publish(client, subject_prefix, 10, start=10)
        await wait_for_events(log, 20)
    assert "ingest stopped" not in caplog.text
    await client.close()
