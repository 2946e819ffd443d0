"""A stream that no log can be read from: the ingester does not start, and says why in one sentence."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import ExternalStream, RetentionPolicy, StreamConfig, StreamSource

from eventscope.errors import CannotStart
from eventscope.server.ingester import ingest
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.nats import stream
from tests.support.killable_servers import killable_nats
from tests.support.locked_nats import locked_nats

STREAMS: dict[str, tuple[dict[str, Any], str]] = {
    "work queue": ({"retention": RetentionPolicy.WORK_QUEUE}, "has the retention policy workqueue"),
    "interest": ({"retention": RetentionPolicy.INTEREST}, "has the retention policy interest"),
    "everything": ({"subjects": [">"], "no_ack": True}, "takes >, where Eventscope and NATS themselves send"),
    "inboxes": ({"subjects": ["_INBOX.>"]}, "takes _INBOX.>, where Eventscope and NATS themselves send"),
    "live": ({"subjects": ["eventscope.*.>"]}, r"takes eventscope\.\*\.>, where"),
    "mirror": ({"mirror": StreamSource(name="THEIRS")}, "mirror"),
}


@pytest.mark.parametrize(("config", "sentence"), STREAMS.values(), ids=STREAMS)
async def test_a_stream_from_which_no_log_can_be_read_is_reported_at_the_start(
    config: dict[str, Any], sentence: str, settings: Settings, tmp_path: Path
) -> None:
    async with killable_nats(tmp_path) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        client = await nats.connect(server.url)
        try:
            js = client.jetstream()
            if "mirror" in config:
                await js.add_stream(name="THEIRS", subjects=["theirs.>"])
            given: dict[str, Any] = (
                {} if {"mirror", "subjects"} & set(config) else {"subjects": list(settings.subjects)}
            )
            await js.add_stream(StreamConfig(name=settings.stream, **(given | config)))
            async with asyncio.timeout(30):
                with pytest.raises(CannotStart, match=sentence) as refusal:
                    await ingest(settings)
            assert "\n" not in str(refusal.value)
        finally:
            await client.close()


ORIGINS: dict[str, tuple[dict[str, Any], str]] = {
    "a source": ({"sources": [StreamSource("THEIRS")]}, "has THEIRS as a source, which takes eventscope.live."),
    "a source of a source": (
        {
            "sources": [
                StreamSource("OTHERS", filter_subject="others.a"),
                StreamSource("OTHERS", filter_subject="others.b"),
                StreamSource("GONE"),
                StreamSource("THEIRS", external=ExternalStream("$JS.elsewhere.API")),
                StreamSource("BETWEEN"),
            ]
        },
        "has BETWEEN as a source, which has THEIRS as a source, which takes eventscope.live.",
    ),
    "a mirror": (
        {"sources": [StreamSource("REFLECTED")]},
        "has REFLECTED as a source, which is a mirror of THEIRS, which takes eventscope.live.",
    ),
}


@pytest.mark.parametrize(("given", "sentence"), ORIGINS.values(), ids=ORIGINS)
async def test_a_source_that_captures_live_subjects_is_reported_however_many_streams_are_in_between(
    given: dict[str, Any], sentence: str, settings: Settings, log: Log, tmp_path: Path
) -> None:
    async with killable_nats(tmp_path) as server:
        client = await nats.connect(server.url)
        js = client.jetstream()
        await js.add_stream(name="THEIRS", subjects=[f"eventscope.live.{settings.stream}"])
        await js.add_stream(name="REFLECTED", mirror=StreamSource("THEIRS"))
        await js.add_stream(name="OTHERS", subjects=["others.>"])
        await js.add_stream(name="BETWEEN", sources=[StreamSource("THEIRS")])
        await js.add_stream(name="GONE", subjects=["gone.>"])
        await js.add_stream(name=settings.stream, subjects=list(settings.subjects), **given)
        await js.delete_stream("GONE")
        await client.close()
        async with asyncio.timeout(30):
            with pytest.raises(CannotStart) as refusal:
                await ingest(settings.model_copy(update={"nats_url": server.url}))
    assert sentence in str(refusal.value)


async def test_settings_that_capture_what_nats_sends_are_refused(settings: Settings) -> None:
    for subject in (">", "*.>", "eventscope.live.*", "_INBOX.x", "$JS.EVENT.>"):
        with pytest.raises(CannotStart, match="would capture what Eventscope itself sends"):
            await ingest(settings.model_copy(update={"subjects": (subject,)}))


async def test_another_stream_with_the_same_subjects_is_named(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    with pytest.raises(CannotStart, match=rf"overlap .*; the stream {settings.stream} takes {subject_prefix}"):
        await stream.ensure(client.jetstream(), f"{settings.stream}_2", [f"{subject_prefix}.a.>"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A NATS with little space."""
    with locked_nats(tmp_path_factory.mktemp("small"), jetstream={"max_file": 100_000_000}) as url:
        yield url


async def test_if_there_is_no_room_for_the_stream_the_error_names_the_setting(settings: Settings, small: str) -> None:
    settings = settings.model_copy(update={"nats_url": small, "stream_max_bytes": 400_000_000})
    sentence = "EVENTSCOPE_STREAM_MAX_BYTES asks for 400000000 bytes: set it lower, or give JetStream more space"
    with pytest.raises(CannotStart, match=f"insufficient storage resources available; {sentence}"):
        await ingest(settings)
