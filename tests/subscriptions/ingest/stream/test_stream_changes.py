"""What operators do to the stream while an ingester runs: it continues, or reports in one sentence what stops it."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, DiscardPolicy, SubjectTransform
from nats.js.errors import APIError

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store import incidents
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.live import live_batch
from tests.subscriptions.support.ingest_state import until_ready, until_stopped
from tests.support.ingesters import ingester, publish, wait_for_events
from tests.support.until import until

QUICK = IngestLimits(trim_seconds=0.2)  # inspects its stream more often


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"ingest_port": free()})


async def test_a_deleted_stream_is_recreated_and_reading_continues(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    js = client.jetstream()
    await publish(client, subject_prefix, 3)
    async with ingester(settings, QUICK):
        await wait_for_events(log, 3)
        await js.delete_stream(settings.stream)

        async def back() -> bool:
            names = [info.config.name for info in await js.streams_info()]
            return settings.stream in names

        await until(back)
        await publish(client, subject_prefix, 3, 3)
        events = await wait_for_events(log, 6)
        assert [event["messageId"] for event in events] == [f"m{n}" for n in range(6)]
        assert (await checkpoint.read(log)).source_resets == 1
    made = (await js.stream_info(settings.stream)).config
    assert (made.discard, made.subjects) == (DiscardPolicy.NEW, list(settings.subjects))
    assert f"the stream {settings.stream} is gone, and is created again" in caplog.text
    assert sum("ingest stopped" in record.message for record in caplog.records) <= 2


async def test_removed_subjects_are_put_back(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    js = client.jetstream()
    async with ingester(settings, QUICK):
        await until_ready(settings)
        await js.update_stream(name=settings.stream, subjects=[f"{subject_prefix}other.>"])

        async def back() -> bool:
            return settings.subjects[0] in ((await js.stream_info(settings.stream)).config.subjects or [])

        async def noted() -> tuple[incidents.Incident, ...]:
            return (await incidents.read(log)).last

        await until(back)
        await publish(client, subject_prefix, 2)
        await wait_for_events(log, 2)
        [incident] = await until(noted)
    assert "is set to accept" in caplog.text
    assert incident.sentence.startswith(f"the stream {settings.stream} did not accept {settings.subjects[0]} between 2")


async def test_settings_by_which_a_stream_drops_messages_cause_one_warning(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ingester(settings, QUICK):
        await until_ready(settings)
        js = client.jetstream()
        info = await js.stream_info(settings.stream)
        await js.update_stream(info.config, discard=DiscardPolicy.OLD, max_age=3600.0)
        await until(lambda: "may drop messages before they are stored" in caplog.text)
        await publish(client, subject_prefix, 2)
        await wait_for_events(log, 2)
    assert caplog.text.count("may drop messages") == 1
    assert "(max_age 3600, discard old)" in caplog.text


Change = Callable[[JetStreamContext, Settings], Coroutine[Any, Any, object]]


async def _capture(js: JetStreamContext, settings: Settings) -> None:
    await js.update_stream(name=settings.stream, subjects=[*settings.subjects, live_batch.subject(settings.stream)])


async def _capture_inboxes(js: JetStreamContext, settings: Settings) -> None:
    await js.update_stream(name=settings.stream, subjects=[*settings.subjects, "_INBOX.>"])


async def _seal(js: JetStreamContext, settings: Settings) -> None:
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, sealed=True)


CHANGES: dict[str, tuple[Change, str]] = {
    "takes live subjects": (_capture, "where Eventscope and NATS themselves send"),
    "takes inboxes": (_capture_inboxes, "where Eventscope and NATS themselves send"),
    "is sealed": (_seal, "is sealed and accepts nothing any more"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
async def test_a_stream_that_becomes_unusable_stops_the_log_with_a_sentence(
    change: Change,
    sentence: str,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    js = client.jetstream()
    await publish(client, subject_prefix, 2)
    async with ingester(settings, QUICK):
        await wait_for_events(log, 2)
        await change(js, settings)
        await until_stopped(settings, sentence)
        before = await log.rejected.count_documents({})
        again = len(caplog.records)
        await until(lambda: sum("ingest stopped" in one.message for one in caplog.records[again:]) >= 2)
        assert await log.rejected.count_documents({}) == before == 0
        await js.delete_stream(settings.stream)
        await until_ready(settings)
        await publish(client, subject_prefix, 2, 2)
        await wait_for_events(log, 4)
    assert "Traceback" not in caplog.text


async def test_captured_live_messages_are_not_events_and_delay_nobody_once_the_stream_is_corrected(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    js = client.jetstream()
    async with ingester(settings, QUICK):
        await until_ready(settings)
        await _capture(js, settings)
        await client.publish(live_batch.subject(settings.stream), orjson.dumps({"type": "a.b"}))
        await until_stopped(settings, "where Eventscope and NATS themselves send")
        await js.update_stream(name=settings.stream, subjects=list(settings.subjects))
        await until_ready(settings)
        await publish(client, subject_prefix, 2)
        events = await wait_for_events(log, 2)
    assert [event["messageId"] for event in events] == ["m0", "m1"]
    assert {row["code"] for row in await log.rejected.find({}).to_list(None)} == {"RESERVED_SUBJECT"}


async def test_what_comes_back_on_an_invisible_path_is_never_stored_however_often_ingest_starts(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    js = client.jetstream()

    async def back(message: Msg) -> None:
        if feeding:
            await js.publish(f"{subject_prefix}.echo", message.data)

    # as another account or a leaf node might do: messages enter the stream under their own subjects
    info = await js.stream_info(settings.stream)
    transform = SubjectTransform(src=f"{subject_prefix}.echo", dest=live_batch.subject(settings.stream))
    await js.update_stream(info.config, subject_transform=transform)
    feeding = True
    subscription = await client.subscribe(live_batch.subject(settings.stream), cb=back)
    async with ingester(settings, QUICK):
        await until_stopped(settings, "accepts what it must not, in a way")
    async with ingester(settings, QUICK):
        await until_stopped(settings, "accepts what it must not, in a way")
        assert await log.rejected.count_documents({}) == 0
        feeding = False
        await until_ready(settings)
        await publish(client, subject_prefix, 2)
        await wait_for_events(log, 2)
    await subscription.unsubscribe()
    assert {row["code"] for row in await log.rejected.find({}).to_list(None)} == {"RESERVED_SUBJECT"}


async def test_a_forgotten_consumer_that_fills_the_stream_is_named_once_and_counted(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings.model_copy(update={"stream_keep_hours": 0.0})
    js = client.jetstream()
    await js.add_consumer(settings.stream, durable_name="forgotten", ack_policy=AckPolicy.EXPLICIT)
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, max_bytes=20_000)
    async with ingester(settings, QUICK), httpx.AsyncClient() as http:
        await until_ready(settings)
        refused = 0
        while not refused:
            try:
                await js.publish(f"{subject_prefix}.a.b", orjson.dumps({"data": "x" * 1000}))
            except APIError:
                refused += 1
        await until(lambda: "nats consumer rm" in caplog.text)
        metrics = (await http.get(f"http://127.0.0.1:{settings.ingest_port}/metrics")).text
        assert 'eventscope_ingest_held_messages{consumer="forgotten"}' in metrics
        head = (await checkpoint.read(log)).head
        assert head > 10
        await js.delete_consumer(settings.stream, "forgotten")

        async def trimmed() -> bool:
            return (await js.stream_info(settings.stream)).state.messages == 1

        await until(trimmed)
        await publish(client, subject_prefix, 1)
        await wait_for_events(log, head + 1)
        assert "held_messages{" not in (await http.get(f"http://127.0.0.1:{settings.ingest_port}/metrics")).text
    lines = [one.message for one in caplog.records if "nats consumer rm" in one.message]
    assert len(lines) == 1
    assert "durable consumers need them: forgotten (" in lines[0]
