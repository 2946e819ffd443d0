"""Publishing in order until all is acknowledged, on real servers that die and come back."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from eventscope.subscriptions.nats.stream import connect, ensure
from eventscope.subscriptions.publish.publisher import Publisher
from tests.subscriptions.support.own_nats import OwnNats, stored
from tests.support.until import until


async def numbers(js: JetStreamContext, stream: str) -> list[int]:
    return [orjson.loads(message.data or b"")["data"]["n"] for message in await stored(js, stream)]


def numbered(count: int, *, ballast: int = 0) -> Iterator[dict[str, Any]]:
    for n in range(count):
        yield {"type": "thing.counted", "messageId": f"thing-{n}", "data": {"n": n, "ballast": "x" * ballast}}


async def test_a_message_is_sent_as_json_on_the_subject_of_its_type_with_its_id(
    nats_url: str, stream_name: str, subject_prefix: str, subjects: list[str], bare_client: Client
) -> None:
    message = {"type": "user.created", "messageId": "m-1", "data": {"name": "Zoë"}, "userId": "u1"}
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        assert await publisher.publish(message) == "m-1"

    [kept] = await stored(bare_client.jetstream(), stream_name)
    assert kept.subject == f"{subject_prefix}.user.created"
    assert kept.headers is not None
    assert kept.headers["Nats-Msg-Id"] == "m-1"
    assert orjson.loads(kept.data or b"") == message


async def test_a_message_without_an_id_gets_one(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        ids = [await publisher.publish({"type": "tick"}) for _ in range(3)]

    kept = await stored(bare_client.jetstream(), stream_name)
    assert len(set(ids)) == 3
    assert [message.headers["Nats-Msg-Id"] for message in kept if message.headers] == ids
    assert [orjson.loads(message.data or b"")["messageId"] for message in kept] == ids


@pytest.mark.parametrize("id", ["two\nlines", "Zoë", " padded ", "x" * 1000])
async def test_an_id_that_does_not_fit_into_a_header_is_kept_in_the_message(
    id: str, nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        await publisher.publish({"type": "tick", "messageId": id})
        await publisher.publish({"type": "tick", "messageId": id})
        await publisher.publish({"type": "tick", "messageId": id.strip() + "!"})

    kept = [
        orjson.loads(message.data or b"")["messageId"] for message in await stored(bare_client.jetstream(), stream_name)
    ]
    assert kept == [id, id.strip() + "!"]


async def test_messages_arrive_in_the_order_in_which_they_were_published(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects, window=32) as publisher:
        for message in numbered(1000):
            await publisher.publish(message)

    assert publisher.acknowledgements == 1000
    assert await numbers(bare_client.jetstream(), stream_name) == list(range(1000))


async def test_after_flush_everything_is_acknowledged(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        await publisher.flush()
        for message in numbered(100):
            await publisher.publish(message)
        await publisher.flush()

        assert publisher.acknowledgements == 100
        assert (await bare_client.jetstream().stream_info(stream_name)).state.messages == 100


@pytest.mark.processes
async def test_a_server_that_is_killed_repeatedly_loses_and_repeats_nothing_and_keeps_the_order(
    own_nats: OwnNats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Publisher.connect(own_nats.url, "EVENTS", ["events.>"]) as publisher:

        async def publish() -> None:
            for message in numbered(2000):
                await publisher.publish(message)
            await publisher.flush()

        publishing = asyncio.create_task(publish())
        for kill in range(1, 5):
            await until(lambda: publisher.acknowledgements >= kill * 400)  # noqa: B023
            own_nats.kill()
            await own_nats.start()
        await publishing
    assert publisher.duplicates == 0  # its own repetitions do not count

    async with await connect(own_nats.url, "test") as client:
        assert await numbers(client.jetstream(), "EVENTS") == list(range(2000))
    assert "messages are not acknowledged" in caplog.text


@pytest.mark.processes
@pytest.mark.parametrize("ballast", [0, 50_000])
async def test_a_frozen_server_that_wakes_up_late_does_not_mix_up_what_it_was_sent_before_and_after(
    own_nats: OwnNats, ballast: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Publisher.connect(own_nats.url, "EVENTS", ["events.>"], patience=0.3) as publisher:
        own_nats.freeze()
        messages = numbered(300, ballast=ballast)
        for _ in range(250):
            await publisher.publish(next(messages))
        await until(lambda: "no acknowledgement within 0.3 s" in caplog.text)
        own_nats.thaw()
        for message in messages:
            await publisher.publish(message)

    async with await connect(own_nats.url, "test") as client:
        assert await numbers(client.jetstream(), "EVENTS") == list(range(300))


async def test_publishing_waits_for_a_full_stream(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    js = bare_client.jetstream()
    info = await ensure(js, stream_name, subjects)
    await js.update_stream(info.config, max_msgs=10)
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        for message in numbered(50):
            await publisher.publish(message)
        await until(lambda: "maximum messages exceeded" in caplog.text)
        assert publisher.acknowledgements == 10
        await js.update_stream(info.config, max_msgs=-1)

    assert await numbers(js, stream_name) == list(range(50))
