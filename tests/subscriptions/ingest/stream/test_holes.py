"""What JetStream removed before it was read is recorded exactly and once, whatever happens meanwhile."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.js import api

from eventscope.background import cancel
from eventscope.doctor import log_checks
from eventscope.doctor.finding import Level
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.state import checkpoint
from eventscope.store.state.checkpoint import MOST_LOST, LogCheckpoint
from eventscope.store.values.message import Lost
from tests.support.api_server import running_api
from tests.support.ingesters import ingester, ingester_process, publish, wait_for_events
from tests.support.until import until


async def level(log: Log, client: Client, settings: Settings) -> LogCheckpoint:
    """The checkpoint once the log has all of the stream."""
    js = client.jetstream()

    async def levels() -> list[LogCheckpoint]:
        last = (await js.stream_info(settings.stream)).state.last_seq
        at = await checkpoint.read(log)
        return [at] if at.stream_position is not None and at.stream_position.sequence >= last else []

    [at] = await until(levels)
    return at


def ranges(at: LogCheckpoint) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in at.lost]


async def accounted(log: Log, first: int, last: int) -> None:
    """Every sequence is stored once, or lost once."""
    at = await checkpoint.read(log)
    kept = [row["source"]["sequence"] async for row in log.events.find({})]
    gone = [sequence for one in at.lost for sequence in range(one.first, one.last + 1)]
    assert sorted(kept + gone) == list(range(first, last + 1))
    assert at.lost_count == len(gone)


async def limit(client: Client, settings: Settings, **limits: Any) -> None:
    """Change the stream as an operator might."""
    config = (await client.jetstream().stream_info(settings.stream)).config
    config.discard = api.DiscardPolicy.OLD
    await client.jetstream().update_stream(config.evolve(**limits))


async def test_what_a_full_stream_dropped_while_nobody_read_is_recorded_once(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 5)
        await wait_for_events(log, 5)
    await limit(client, settings, max_msgs=10)
    await publish(client, subject_prefix, 101, start=5)
    for _ in range(3):
        async with ingester(settings):
            at = await level(log, client, settings)
    assert ranges(at) == [(6, 96)]
    assert at.lost_count == 91
    assert at.lost[0].stream == settings.stream
    assert caplog.text.count("lost 91 messages before they were read: sequences 6 to 96") == 1
    await accounted(log, 1, 106)


async def test_graphql_metrics_and_the_doctor_report_the_loss(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with running_api(settings) as api:
        question = "{ log { lostMessageCount lostMessages { stream from to at } } }"
        assert (await api.ask(question))["log"] == {"lostMessageCount": 0, "lostMessages": []}
        async with ingester(settings):
            await publish(client, subject_prefix, 2)
            await wait_for_events(log, 2)
        await publish(client, subject_prefix, 3, start=2)
        for sequence in (3, 4):
            await client.jetstream().delete_msg(settings.stream, sequence)
        async with ingester(settings):
            at = await level(log, client, settings)
        found = (await api.ask(question))["log"]
        assert found["lostMessageCount"] == 2
        [one] = found["lostMessages"]
        assert (one["stream"], one["from"], one["to"]) == (settings.stream, 3, 4)
        assert "eventscope_log_lost_messages 2.0" in (await api.http.get("/metrics")).text
    finding = log_checks.lost(at)
    assert finding.level == Level.WARNING
    assert "3 to 4" in finding.found
    assert one["at"][:16] in finding.found


async def test_a_purge_is_noticed_although_no_message_follows(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 3)
        await wait_for_events(log, 3)
    await publish(client, subject_prefix, 4, start=3)
    await client.jetstream().purge_stream(settings.stream)
    for _ in range(2):
        async with ingester(settings):
            assert ranges(await level(log, client, settings)) == [(4, 7)]
    await publish(client, subject_prefix, 2, start=7)
    async with ingester(settings):
        await level(log, client, settings)
    await accounted(log, 1, 9)
    assert (await checkpoint.read(log)).source_resets == 0


async def test_holes_in_the_middle_are_recorded_one_by_one(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 1)
        await wait_for_events(log, 1)
    await publish(client, subject_prefix, 19, start=1)
    for sequence in (2, 3, 7, 19):
        await client.jetstream().delete_msg(settings.stream, sequence)
    async with ingester(settings.model_copy(update={"batch": 4})):
        assert ranges(await level(log, client, settings)) == [(2, 3), (7, 7), (19, 19)]


async def test_what_a_stream_drops_from_one_subject_is_lost(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 1)
        await wait_for_events(log, 1)
    await limit(client, settings, max_msgs_per_subject=1)
    for subject in ("a", "b", "a", "c", "b"):
        await client.jetstream().publish(f"{subject_prefix}.{subject}", b"{}")
    async with ingester(settings):
        assert ranges(await level(log, client, settings)) == [(2, 3)]


async def test_what_was_removed_before_a_stream_was_first_read_is_not_lost_but_later_removals_are(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await publish(client, subject_prefix, 8)
    await client.jetstream().purge_stream(settings.stream)

    async def begun() -> bool:
        return (await checkpoint.read(log)).stream_position is not None

    async with ingester(settings):
        await until(begun)
    assert "begins with sequence 9" in caplog.text
    await publish(client, subject_prefix, 4, start=8)
    await client.jetstream().delete_msg(settings.stream, 10)
    async with ingester(settings):
        assert ranges(await level(log, client, settings)) == [(10, 10)]
    await accounted(log, 9, 12)


async def test_a_recreated_stream_begins_where_its_configuration_says(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    js = client.jetstream()
    async with ingester(settings):
        await publish(client, subject_prefix, 5)
        await wait_for_events(log, 5)
    await js.delete_stream(settings.stream)
    config = api.StreamConfig(name=settings.stream, subjects=list(settings.subjects), first_seq=100)
    await js.add_stream(config)
    await publish(client, subject_prefix, 5, start=5)
    await js.delete_msg(settings.stream, 100)
    await js.delete_msg(settings.stream, 101)
    async with ingester(settings):
        at = await level(log, client, settings)
    assert ranges(at) == [(100, 101)]
    assert at.source_resets == 1


async def test_a_restored_mongodb_has_lost_what_was_trimmed_since_its_backup(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 5)
        await wait_for_events(log, 5)
        backup: Document | None = await log.meta.find_one({"_id": "checkpoint"})
        assert backup is not None
        await publish(client, subject_prefix, 15, start=5)
        await wait_for_events(log, 20)
    await log.meta.replace_one({"_id": "checkpoint"}, backup)
    await log.events.delete_many({"_id": {"$gt": 5}})
    await log.aggregates.delete_many({})
    await client.jetstream().purge_stream(settings.stream, seq=11)
    # nobody holds the lease of the backup any more
    await log.meta.update_one({}, {"$unset": {"holder": "", "leaseUntil": "", "session": ""}})
    async with ingester(settings):
        assert ranges(await level(log, client, settings)) == [(6, 10)]
    await accounted(log, 1, 20)


async def test_messages_read_before_a_reset_do_not_count_as_lost(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    """The last messages were lost, so the checkpoint's is another one; and the start of the stream was trimmed."""
    async with ingester(settings):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
    await client.jetstream().purge_stream(settings.stream, seq=8)
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"place.recordedAt": 1}})
    for count in (3, 3):
        await publish(client, subject_prefix, count, start=100)
        async with ingester(settings):
            at = await level(log, client, settings)
        assert (at.source_resets, at.lost_count) == (1, 0)
    await publish(client, subject_prefix, 2, start=200)
    await client.jetstream().delete_msg(settings.stream, 17)
    async with ingester(settings):
        assert ranges(await level(log, client, settings)) == [(17, 17)]


def test_the_latest_ranges_are_kept_and_all_are_counted() -> None:
    at = LogCheckpoint(0, 0, None, 0, "a", 1, True)
    place: Any = None
    for number in range(3):
        at = at.after(place, tuple(Lost("S", 1000 * number + n, 1000 * number + n, 7) for n in range(60)))
    assert at.lost_count == 180
    assert len(at.lost) == MOST_LOST
    assert at.lost[-1] == Lost("S", 2059, 2059, 7)


@hypothesis_settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(chance=st.randoms(use_true_random=True))
async def test_whatever_is_removed_while_two_ingesters_take_turns_and_die_is_recorded_exactly(
    chance: random.Random, settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 0.5, "batch": 7})
    js = client.jetstream()
    begun = (await checkpoint.read(log)).stream_position is not None
    if not begun:
        async with ingester(settings):
            await publish(client, subject_prefix, 1, start=chance.randrange(10**9))
            await level(log, client, settings)
    workers: list[asyncio.Task[None]] = []
    killed = await ingester_process(settings)
    for _ in range(25):
        last = (await js.stream_info(settings.stream)).state.last_seq
        match chance.choice(("publish", "publish", "delete", "purge", "start", "stop", "turn")):
            case "publish":
                await publish(client, subject_prefix, chance.randint(1, 30), start=chance.randrange(10**12))
            case "delete":
                for sequence in chance.choices(range(max(1, last - 20), last + 1), k=5):
                    with suppress(Exception):
                        await js.delete_msg(settings.stream, sequence)
            case "purge":
                # the last one stays: it shows that the others are gone
                await js.purge_stream(settings.stream, seq=max(1, last - chance.randint(0, 5)))
            case "start" if len(workers) < 2:
                workers.append(asyncio.create_task(ingest(settings)))
            case "stop" if workers:
                workers.pop().cancel()
            case "turn":
                killed.kill()
                await killed.wait()
                killed = await ingester_process(settings)
    await publish(client, subject_prefix, 1, start=chance.randrange(10**12))
    at = await level(log, client, settings)
    killed.kill()
    await killed.wait()
    await cancel(*workers)
    assert at.source_resets == 0
    if len(at.lost) < MOST_LOST:
        await accounted(log, 1, (await js.stream_info(settings.stream)).state.last_seq)
