"""Publishing in order until all is acknowledged, on real servers that die and come back."""

import asyncio
import logging
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg, StreamConfig

from eventscope.dev.servers import Nats, ready
from eventscope.errors import BadInput, CannotStart, Unavailable
from eventscope.processes.guard import guard_command
from eventscope.processes.ports import free
from eventscope.subscriptions.nats.stream import connect, ensure
from eventscope.subscriptions.publish.publisher import Publisher
from tests.support.killable_servers import freeze


class OwnServer:
    """A NATS that the test may kill and freeze."""

    def __init__(self, folder: Path) -> None:
        self.nats = Nats(folder, free())
        self.process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return self.nats.url

    async def start(self) -> None:
        self.launch()
        await ready(self.nats, lambda: self.process.poll() is None)

    def launch(self) -> None:
        self.process = subprocess.Popen(
            guard_command(self.nats.command()), stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        with self.process:
            self.process.kill()

    def freeze(self) -> None:
        freeze(self.process.pid)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[OwnServer]:
    server = OwnServer(tmp_path / "nats")
    await server.start()
    yield server
    server.kill()


@pytest.fixture
async def client(nats_url: str) -> AsyncIterator[Client]:
    async with await connect(nats_url, "test") as client:
        yield client


@pytest.fixture
def subjects(subject_prefix: str) -> list[str]:
    return [f"{subject_prefix}.>"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def stored(js: JetStreamContext, stream: str) -> list[RawStreamMsg]:
    """Everything in the stream, in stream order."""
    state = (await js.stream_info(stream)).state
    return [await js.get_msg(stream, sequence) for sequence in range(state.first_seq, state.last_seq + 1)]


async def numbers(js: JetStreamContext, stream: str) -> list[int]:
    return [orjson.loads(message.data or b"")["data"]["n"] for message in await stored(js, stream)]


def numbered(count: int, *, ballast: int = 0) -> Iterator[dict[str, Any]]:
    for n in range(count):
        yield {"type": "thing.counted", "messageId": f"thing-{n}", "data": {"n": n, "ballast": "x" * ballast}}


async def test_a_message_is_sent_as_json_on_the_subject_of_its_type_with_its_id(
    nats_url: str, stream_name: str, subject_prefix: str, subjects: list[str], client: Client
) -> None:
    message = {"type": "user.created", "messageId": "m-1", "data": {"name": "Zoë"}, "userId": "u1"}
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        assert await publisher.publish(message) == "m-1"

    [kept] = await stored(client.jetstream(), stream_name)
    assert kept.subject == f"{subject_prefix}.user.created"
    assert kept.headers is not None
    assert kept.headers["Nats-Msg-Id"] == "m-1"
    assert orjson.loads(kept.data or b"") == message


async def test_a_message_without_an_id_gets_one(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        ids = [await publisher.publish({"type": "tick"}) for _ in range(3)]

    kept = await stored(client.jetstream(), stream_name)
    assert len(set(ids)) == 3
    assert [message.headers["Nats-Msg-Id"] for message in kept if message.headers] == ids
    assert [orjson.loads(message.data or b"")["messageId"] for message in kept] == ids


@pytest.mark.parametrize("id", ["two\nlines", "Zoë", " padded ", "x" * 1000])
async def test_an_id_that_does_not_fit_into_a_header_is_kept_in_the_message(
    id: str, nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        await publisher.publish({"type": "tick", "messageId": id})
        await publisher.publish({"type": "tick", "messageId": id})
        await publisher.publish({"type": "tick", "messageId": id.strip() + "!"})

    kept = [orjson.loads(message.data or b"")["messageId"] for message in await stored(client.jetstream(), stream_name)]
    assert kept == [id, id.strip() + "!"]


async def test_messages_arrive_in_the_order_in_which_they_were_published(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects, window=32) as publisher:
        for message in numbered(1000):
            await publisher.publish(message)

    assert publisher.acknowledged == 1000
    assert await numbers(client.jetstream(), stream_name) == list(range(1000))


async def test_after_flush_everything_is_acknowledged(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        await publisher.flush()
        for message in numbered(100):
            await publisher.publish(message)
        await publisher.flush()

        assert publisher.acknowledged == 100
        assert (await client.jetstream().stream_info(stream_name)).state.messages == 100


@pytest.mark.processes
async def test_a_server_that_is_killed_repeatedly_loses_and_repeats_nothing_and_keeps_the_order(
    own: OwnServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Publisher.connect(own.url, "EVENTS", ["events.>"]) as publisher:

        async def publish() -> None:
            for message in numbered(2000):
                await publisher.publish(message)
            await publisher.flush()

        publishing = asyncio.create_task(publish())
        for kill in range(1, 5):
            await until(lambda: publisher.acknowledged >= kill * 400)  # noqa: B023
            own.kill()
            await own.start()
        await publishing
    assert publisher.duplicates == 0  # its own repetitions do not count

    async with await connect(own.url, "test") as client:
        assert await numbers(client.jetstream(), "EVENTS") == list(range(2000))
    assert "messages are not acknowledged" in caplog.text


@pytest.mark.processes
@pytest.mark.parametrize("ballast", [0, 50_000])
async def test_a_frozen_server_that_wakes_up_late_does_not_mix_up_what_it_was_sent_before_and_after(
    own: OwnServer, ballast: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Publisher.connect(own.url, "EVENTS", ["events.>"], patience=0.3) as publisher:
        own.freeze()
        messages = numbered(300, ballast=ballast)
        for _ in range(250):
            await publisher.publish(next(messages))
        await until(lambda: "no acknowledgement within 0.3 s" in caplog.text)
        own.thaw()
        for message in messages:
            await publisher.publish(message)

    async with await connect(own.url, "test") as client:
        assert await numbers(client.jetstream(), "EVENTS") == list(range(300))


async def test_publishing_waits_for_a_full_stream(
    nats_url: str, stream_name: str, subjects: list[str], client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    js = client.jetstream()
    info = await ensure(js, stream_name, subjects)
    await js.update_stream(info.config, max_msgs=10)
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        for message in numbered(50):
            await publisher.publish(message)
        await until(lambda: "maximum messages exceeded" in caplog.text)
        assert publisher.acknowledged == 10
        await js.update_stream(info.config, max_msgs=-1)

    assert await numbers(js, stream_name) == list(range(50))


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

    assert publisher.acknowledged == 1


async def test_a_message_larger_than_the_stream_accepts_is_refused(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    await client.jetstream().add_stream(StreamConfig(name=stream_name, subjects=subjects, max_msg_size=500))
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        with pytest.raises(BadInput, match="at most 500 are allowed"):
            await publisher.publish({"type": "tick", "data": "x" * 400})
        await publisher.publish({"type": "tick", "data": "x" * 200})


async def test_a_deleted_stream_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    with pytest.raises(Unavailable, match=f"the stream {stream_name} is gone"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            await publisher.publish({"type": "tick"})
            await publisher.flush()
            await client.jetstream().delete_stream(stream_name)
            for _ in range(1000):  # more than the window has room for
                await publisher.publish({"type": "tick"})


async def test_a_stream_that_no_longer_accepts_the_subject_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    with pytest.raises(Unavailable, match=r"does not take .*tick any more"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            await client.jetstream().update_stream(name=stream_name, subjects=[f"other.{stream_name}"])
            await publisher.publish({"type": "tick"})


async def test_a_message_that_jetstream_refuses_for_good_ends_the_publisher(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    with pytest.raises(Unavailable, match=r"refuses the message .*message size exceeds maximum allowed"):
        async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
            js = client.jetstream()
            await js.update_stream((await js.stream_info(stream_name)).config, max_msg_size=10)
            await publisher.publish({"type": "tick"})


async def test_publishing_on_a_closed_publisher_raises(nats_url: str, stream_name: str, subjects: list[str]) -> None:
    async with Publisher.connect(nats_url, stream_name, subjects) as publisher:
        pass

    with pytest.raises(Unavailable, match="the publisher is closed"):
        await publisher.publish({"type": "tick"})


@pytest.mark.processes
async def test_an_error_in_the_block_ends_it_at_once(own: OwnServer) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Publisher.connect(own.url, "EVENTS", ["events.>"]) as publisher:
            own.kill()
            await publisher.publish({"type": "tick"})
            raise ZeroDivisionError
    await own.start()


async def test_a_publisher_without_a_server_cannot_start() -> None:
    with pytest.raises(CannotStart, match="NATS cannot be reached"):
        async with Publisher.connect(f"nats://127.0.0.1:{free()}", "EVENTS", ["events.>"]):
            pass


async def test_a_publisher_to_subjects_of_another_stream_cannot_start(
    nats_url: str, stream_name: str, subjects: list[str], client: Client
) -> None:
    await ensure(client.jetstream(), stream_name, subjects)

    with pytest.raises(CannotStart, match="refuses the stream ELSEWHERE"):
        async with Publisher.connect(nats_url, "ELSEWHERE", subjects):
            pass
