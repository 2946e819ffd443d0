"""What a publisher refuses: messages that nobody would accept, a stream that is gone, a server that is down."""

from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from eventscope.errors import BadInput, CannotStart, Unavailable
from eventscope.processes.ports import free
from eventscope.subscriptions.nats.stream import ensure
from eventscope.subscriptions.publish.publisher import Publisher
from tests.subscriptions.support.own_nats import OwnNats


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"data": {}}, "has no type"),
        ({"type": 5}, "has no type"),
        ({"type": "two words"}, "is not words joined by dots"),
        ({"type": "tick", "data": {1, 2}}, "is not JSON: Type is not JSON serializable: set"),
        ({"type": "tick", "data": [2**64]}, r"is not JSON: the integer 18446744073709551616 at data\[0\] does not fit"),
        ({"type": "tick", "data": {"p": float("nan")}}, r"is not JSON: NaN at data\.p$"),
        ({"type": "tick", "data": "\ud800"}, "is not JSON: str is not valid UTF-8"),
        ({"type": "tick", "data": "x" * 1024 * 1024}, "at most 1048576 are allowed"),
    ],
)
async def test_a_message_that_can_never_be_sent_is_refused_and_the_others_are_sent(
    message: dict[str, Any], reason: str, nats_url: str, stream_name: str, subjects: list[str]
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        with pytest.raises(BadInput, match=reason):
            await publisher.publish(message)
        await publisher.publish({"type": "tick"})

    assert publisher.acknowledgements == 1


async def test_a_message_larger_than_the_stream_accepts_is_refused(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    await bare_client.jetstream().add_stream(StreamConfig(name=stream_name, subjects=subjects, max_msg_size=500))
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        with pytest.raises(BadInput, match="at most 500 are allowed"):
            await publisher.publish({"type": "tick", "data": "x" * 400})
        await publisher.publish({"type": "tick", "data": "x" * 200})


async def test_a_deleted_stream_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    with pytest.raises(Unavailable, match=f"the stream {stream_name} is gone"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            await publisher.publish({"type": "tick"})
            await publisher.flush()
            await bare_client.jetstream().delete_stream(stream_name)
            for _ in range(1000):  # more than the window has room for
                await publisher.publish({"type": "tick"})


async def test_a_stream_that_no_longer_accepts_the_subject_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    with pytest.raises(Unavailable, match=r"does not take .*tick any more"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            await bare_client.jetstream().update_stream(name=stream_name, subjects=[f"other.{stream_name}"])
            await publisher.publish({"type": "tick"})


async def test_a_message_that_jetstream_refuses_for_good_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    with pytest.raises(Unavailable, match=r"refuses the message .*message size exceeds maximum allowed"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            js = bare_client.jetstream()
            await js.update_stream((await js.stream_info(stream_name)).config, max_msg_size=10)
            await publisher.publish({"type": "tick"})


async def test_publishing_on_a_closed_publisher_raises(nats_url: str, stream_name: str, subjects: list[str]) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        pass

    with pytest.raises(Unavailable, match="the publisher is closed"):
        await publisher.publish({"type": "tick"})


@pytest.mark.processes
async def test_an_error_in_the_block_ends_it_at_once(own_nats: OwnNats) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Publisher.connect(own_nats.url, "EVENTS", ["events.>"]) as publisher:
            own_nats.kill()
            await publisher.publish({"type": "tick"})
            raise ZeroDivisionError
    await own_nats.start()


async def test_a_publisher_without_a_server_cannot_start() -> None:
    with pytest.raises(CannotStart, match="NATS cannot be reached"):
        async with Publisher.connect(f"nats://127.0.0.1:{free()}", "EVENTS", ["events.>"]):
            pass


async def test_a_publisher_to_subjects_of_another_stream_cannot_start(
    nats_url: str, stream_name: str, subjects: list[str], bare_client: Client
) -> None:
    await ensure(bare_client.jetstream(), stream_name, subjects)

    with pytest.raises(CannotStart, match="refuses the stream ELSEWHERE"):
        async with Publisher.connect(nats_url, "ELSEWHERE", subjects):
            pass
