"""Reading a stream as a log: all of it, in order, from any place; an unreliable server raises an error."""

import asyncio
import time
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.errors import Unavailable
from eventscope.settings import Settings
from eventscope.store.values.message import Arrival
from eventscope.subscriptions.ingest import stream_reader
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.ingest.stream_reader import StreamReader, open_reader, parse_reply
from eventscope.subscriptions.nats import stream
from tests.support.killable_servers import killable_nats
from tests.support.until import until


def as_is(arrival: Arrival) -> Arrival:
    return arrival


def weight(arrival: Arrival) -> int:
    return len(arrival.raw)


async def test_all_messages_arrive_in_order_in_batches(settings: Settings, client: Client, subject_prefix: str) -> None:
    for number in range(1000):
        await client.publish(f"{subject_prefix}.a", b"%d" % number)
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight) as reader:
        received = await _all(reader, 1000)
    assert [arrival.raw for arrival in received] == [b"%d" % number for number in range(1000)]
    assert [arrival.sequence for arrival in received] == list(range(1, 1001))


async def test_reading_starts_at_the_requested_sequence(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    for _ in range(10):
        await client.publish(f"{subject_prefix}.a", b"")
    async with open_reader(client, client.jetstream(), settings.stream, 8, 100, as_is, weight) as reader:
        assert [arrival.sequence for arrival in await _all(reader, 3)] == [8, 9, 10]


async def test_a_message_arrives_as_soon_as_it_is_published(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight) as reader:
        assert await reader.next(0.01) == []
        for number in range(1, 30):
            await client.publish(f"{subject_prefix}.a", b"", headers={"N": str(number)})
            [arrival] = await reader.next(10)
            assert (arrival.sequence, arrival.headers) == (number, {"N": str(number)})


async def test_deleted_messages_do_not_stop_reading(settings: Settings, client: Client, subject_prefix: str) -> None:
    for _ in range(5):
        await client.jetstream().publish(f"{subject_prefix}.a", b"x")
    await client.jetstream().delete_msg(settings.stream, 3)
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight) as reader:
        assert [arrival.sequence for arrival in await _all(reader, 4)] == [1, 2, 4, 5]


async def test_a_batch_is_limited_in_bytes_too(settings: Settings, client: Client, subject_prefix: str) -> None:
    limits = IngestLimits(batch_bytes=1000)
    for _ in range(10):
        await client.publish(f"{subject_prefix}.a", b"x" * 400)
    await client.publish(f"{subject_prefix}.a", b"x" * 4000)
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight, limits) as reader:
        received = 0
        while received < 11:
            batch = await reader.next(5)
            assert len(batch) == 1 or sum(len(arrival.raw) for arrival in batch) <= 1000
            received += len(batch)


@pytest.mark.parametrize("limits", [IngestLimits(ahead_seconds=0.0), IngestLimits(batch_bytes=1)])
async def test_no_more_is_read_ahead_than_is_needed_soon_however_much_has_arrived(
    settings: Settings, client: Client, subject_prefix: str, limits: IngestLimits
) -> None:
    read: list[bytes] = []

    def slowly(arrival: Arrival) -> bytes:
        read.append(arrival.raw)
        return arrival.raw

    for number in range(50):
        await client.jetstream().publish(f"{subject_prefix}.a", b"%d" % number)
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, slowly, len, limits) as reader:
        received: list[bytes] = []
        while len(received) < 50:
            received += await reader.next(10)
            await client.flush()  # the reader has everything that has arrived
            assert len(read) <= len(received) + 1
    assert received == [b"%d" % number for number in range(50)]


async def test_a_server_does_not_count_as_silent_while_nothing_was_requested(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    limits = IngestLimits(ahead_seconds=0.0)
    for _ in range(3):
        await client.jetstream().publish(f"{subject_prefix}.a", b"")
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight, limits) as reader:
        assert len(await reader.next(10)) == 1
        await until(lambda: not reader._room.is_set())
        reader._last_message_at -= 100.0  # as long as storing took
        assert [len(await reader.next(10)) for _ in range(2)] == [1, 1]


async def test_other_tasks_get_their_turn_between_messages_that_are_slow_to_parse(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    turns = 0
    seen: list[int] = []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slowly(arrival: Arrival) -> Arrival:
        seen.append(turns)
        end = time.perf_counter() + 2 * stream_reader.TURN_SECONDS
        while time.perf_counter() < end:
            pass
        return arrival

    for _ in range(10):
        await client.jetstream().publish(f"{subject_prefix}.a", b"")
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, slowly, weight) as reader:
        task = asyncio.create_task(others())
        await _all(reader, 10)
        task.cancel()
    assert len(set(seen)) == 10


async def test_a_message_lost_on_the_way_is_noticed(settings: Settings, client: Client) -> None:
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, as_is, weight) as reader:
        await reader.receive(_message(client, stream_sequence=1, consumer_sequence=1))
        await reader.receive(_message(client, stream_sequence=3, consumer_sequence=3))
        await reader.receive(_message(client, stream_sequence=4, consumer_sequence=4))
        assert [arrival.sequence for arrival in await reader.next(1)] == [1]
        with pytest.raises(Unavailable, match="lost on the way before sequence 3"):
            await reader.next(1)


async def test_a_missing_consumer_is_noticed(settings: Settings, client: Client) -> None:
    js = client.jetstream()
    async with open_reader(client, js, settings.stream, 1, 100, as_is, weight) as reader:
        await reader.next(0.01)
        [consumer] = await js.consumers_info(settings.stream)
        await js.delete_consumer(settings.stream, consumer.name)
        with pytest.raises(Unavailable):
            await _all(reader, 1)


@pytest.mark.processes
async def test_a_silent_server_is_noticed(tmp_path: Path) -> None:
    limits = IngestLimits(silence_seconds=0.5)
    async with killable_nats(tmp_path) as server:
        client = await nats.connect(server.url)
        await stream.ensure(client.jetstream(), "S", ["s.>"])
        async with open_reader(client, client.jetstream(), "S", 1, 100, as_is, weight, limits) as reader:
            await reader.next(0.01)
            server.freeze()
            with pytest.raises(Unavailable, match="silent"):
                await _all(reader, 1)
            server.thaw()
        await client.close()


async def test_no_consumer_is_left_behind(settings: Settings, client: Client) -> None:
    js = client.jetstream()
    async with open_reader(client, js, settings.stream, 1, 100, as_is, weight):
        assert len(await js.consumers_info(settings.stream)) == 1
    assert await js.consumers_info(settings.stream) == []


@pytest.mark.parametrize(
    "reply", ["$JS.ACK.S.c.1.22.3.1700000000000000001.5", "$JS.ACK.domain.account.S.c.1.22.3.1700000000000000001.5.x"]
)
def test_both_forms_of_reply_subjects_are_parsed(reply: str) -> None:
    assert parse_reply(reply) == (22, 3, 1700000000000000001, 5)


def _message(client: Client, stream_sequence: int, consumer_sequence: int) -> Msg:
    reply = f"$JS.ACK.S.c.1.{stream_sequence}.{consumer_sequence}.1700000000000000000.0"
    return Msg(_client=client, subject="s", reply=reply, data=b"x")


async def _all(reader: StreamReader[Arrival], count: int) -> list[Arrival]:
    received: list[Arrival] = []
    async with asyncio.timeout(30):
        while len(received) < count:
            received += await reader.next(1)
    return received


async def test_a_message_that_cannot_be_read_is_not_skipped(
    settings: Settings, client: Client, subject_prefix: str
) -> None:
    def fragile(arrival: Arrival) -> bytes:
        if arrival.raw == b"3":
            raise ZeroDivisionError
        return arrival.raw

    for number in range(6):
        await client.publish(f"{subject_prefix}.a", b"%d" % number)
    async with open_reader(client, client.jetstream(), settings.stream, 1, 100, fragile, len) as reader:
        received: list[bytes] = []
        with pytest.raises(ZeroDivisionError):
            while True:
                received += await reader.next(10)
        assert received == [b"0", b"1", b"2"]
