"""Messages removed from the end of the stream before they were read are noticed, although none follows them."""

import os
import signal

import pytest
from nats.aio.client import Client

from eventscope.doctor import log_checks
from eventscope.doctor.finding import Level
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.subscriptions.ingest.lag import Lag, lag
from tests.subscriptions.support.ingest_state import until_at
from tests.support.api_server import running_api
from tests.support.ingesters import has_reached, ingester, ingester_process, publish, wait_for_events
from tests.support.killable_servers import freeze
from tests.support.until import until


async def test_a_removed_end_is_recorded_once_although_no_message_follows(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
    await publish(client, subject_prefix, 6, start=10)
    for sequence in (14, 15, 16):
        await client.jetstream().delete_msg(settings.stream, sequence)
    async with running_api(settings) as api:
        for _ in range(2):
            async with ingester(settings):
                await until_at(log, 16)
        found = (await api.ask("{ log { ingestLag { events } lostMessages { from to } } }"))["log"]
        metrics = (await api.http.get("/metrics")).text
    assert found == {"ingestLag": {"events": 0}, "lostMessages": [{"from": 14, "to": 16}]}
    assert "eventscope_log_lag_events 0.0" in metrics
    at = await checkpoint.read(log)
    assert (at.head, at.lost_count, at.source_resets) == (13, 3, 0)
    assert log_checks.lost(at).level == Level.WARNING
    await publish(client, subject_prefix, 2, start=20)
    async with ingester(settings):
        await wait_for_events(log, 15)
    assert (await checkpoint.read(log)).lost_count == 3


async def test_an_end_that_is_removed_from_a_stream_while_it_is_read_is_recorded(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    """The ingester has requested at most four messages, and is paused when the others are removed."""
    settings = settings.model_copy(update={"batch": 1})
    process = await ingester_process(settings)
    try:
        await publish(client, subject_prefix, 3)
        await until(lambda: has_reached(log, 3))
        freeze(process.pid)
        await publish(client, subject_prefix, 9, start=3)
        for sequence in range(8, 13):
            await client.jetstream().delete_msg(settings.stream, sequence)
        process.send_signal(signal.SIGCONT)
        at = await until_at(log, 12)
        assert [(one.first, one.last) for one in at.lost] == [(8, 12)]
        assert (at.head, at.source_resets) == (7, 0)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()


@pytest.mark.parametrize(
    ("removed", "waiting"),
    [((), 6), ((11, 12), 4), ((14,), 5), ((14, 15, 16), 3), (tuple(range(11, 17)), 0)],
    ids=["none", "first", "middle", "end", "all"],
)
async def test_the_lag_is_known_whatever_was_removed(
    removed: tuple[int, ...], waiting: int, settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with ingester(settings):
        await publish(client, subject_prefix, 10)
        await wait_for_events(log, 10)
    await client.jetstream().purge_stream(settings.stream, seq=11)
    await publish(client, subject_prefix, 6, start=10)
    for sequence in removed:
        await client.jetstream().delete_msg(settings.stream, sequence)
    found = await lag(log, client, settings.stream)
    assert isinstance(found, Lag)
    assert found.events == waiting
    assert (found.seconds > 0) == (waiting > 0)
