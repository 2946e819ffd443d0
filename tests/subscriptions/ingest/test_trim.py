"""Trimming: messages that are in the log leave the stream, but not too soon, and none that is still to be read."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import nats
import orjson
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from eventscope.dev.servers import Nats, run_server
from eventscope.settings import Settings
from eventscope.store.values import moment
from eventscope.store.values.message import StreamPosition
from eventscope.subscriptions.ingest.resume import created
from eventscope.subscriptions.ingest.trim import trim
from eventscope.subscriptions.nats import holders as holders_module
from eventscope.subscriptions.nats.holders import Holder
from eventscope.subscriptions.nats.stream import shares_limit


class Limited(Nats):
    """A NATS whose account may keep 20 kB in total."""

    def command(self) -> list[str]:
        command = super().command()
        file = Path(command[-1])
        account = {"jetstream": {"max_file": 20_000}, "users": [{"user": "a", "password": "a"}]}
        file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "accounts": {"A": account}}))
        return command


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[str]:
    with run_server(Limited, tmp_path) as server:
        yield server.url


@pytest.fixture
async def js(client: Client, settings: Settings, subject_prefix: str) -> JetStreamContext:
    """A stream with ten messages of one kilobyte each."""
    js = client.jetstream()
    for _ in range(10):
        await js.publish(f"{subject_prefix}.a", b"x" * 1000)
    return js


async def _first(js: JetStreamContext, settings: Settings) -> int:
    return (await js.stream_info(settings.stream)).state.first_seq


async def _done(js: JetStreamContext, settings: Settings, sequence: int) -> StreamPosition:
    return StreamPosition(settings.stream, created(await js.stream_info(settings.stream)), sequence, 0)


async def test_messages_stored_for_long_enough_are_removed_except_the_last(
    js: JetStreamContext, settings: Settings
) -> None:
    tomorrow = moment.now() + 25 * moment.HOUR
    assert await trim(js, await _done(js, settings, 7), 24, tomorrow) == 6
    assert await _first(js, settings) == 7
    assert await trim(js, await _done(js, settings, 7), 24, tomorrow) == 0


async def test_recently_stored_messages_stay(js: JetStreamContext, settings: Settings, subject_prefix: str) -> None:
    assert await trim(js, await _done(js, settings, 10), 24, moment.now()) == 0
    assert await _first(js, settings) == 1
    sixth = (await js.get_msg(settings.stream, 6)).time
    assert sixth is not None
    await trim(js, await _done(js, settings, 10), 1, moment.of(sixth) + moment.HOUR)
    assert await _first(js, settings) == 6


async def test_a_stream_that_is_nearly_full_keeps_nothing_that_is_stored(
    js: JetStreamContext, settings: Settings
) -> None:
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, max_bytes=int(info.state.bytes * 1.1))
    assert await trim(js, await _done(js, settings, 7), 24, moment.now()) == 6


async def test_a_stream_that_is_near_its_limit_of_messages_keeps_nothing_that_is_stored(
    js: JetStreamContext, settings: Settings
) -> None:
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, max_msgs=11)
    assert await trim(js, await _done(js, settings, 7), 24, moment.now()) == 6


@pytest.mark.processes
async def test_a_stream_in_an_account_that_is_nearly_full_keeps_nothing_that_is_stored(limited: str) -> None:
    client = await nats.connect(limited, user="a", password="a")
    js = client.jetstream()
    assert await shares_limit(js)
    await js.add_stream(name="S", subjects=["a"], storage=api.StorageType.FILE)
    for _ in range(16):
        await js.publish("a", b"x" * 1000)
    assert (
        await trim(
            js, StreamPosition("S", created(await js.stream_info("S")), 7, 0), 24, moment.now(), shares_limit=True
        )
        == 6
    )
    await js.purge_stream("S")
    await js.publish("a", b"x")
    assert (
        await trim(
            js, StreamPosition("S", created(await js.stream_info("S")), 17, 0), 24, moment.now(), shares_limit=True
        )
        == 0
    )
    await client.close()


async def test_an_account_without_a_limit_does_not_cause_trimming(js: JetStreamContext) -> None:
    assert not await shares_limit(js)


@pytest.mark.parametrize(("acknowledged", "first"), [(0, 11), (1, 22), (2, 32)])
async def test_a_consumer_of_few_subjects_keeps_only_what_it_still_has_to_read(
    acknowledged: int, first: int, js: JetStreamContext, settings: Settings, subject_prefix: str
) -> None:
    for _ in range(2):
        await js.publish(f"{subject_prefix}.rare", b"")
        for _ in range(10):
            await js.publish(f"{subject_prefix}.a", b"")
    config = api.ConsumerConfig(
        durable_name="other", ack_policy=api.AckPolicy.EXPLICIT, filter_subject=f"{subject_prefix}.rare"
    )
    await js.add_consumer(settings.stream, config)
    other = await js.pull_subscribe_bind("other", settings.stream)
    for message in (await other.fetch(2))[:acknowledged]:
        await message.ack_sync()
    await trim(js, await _done(js, settings, 32), 24, moment.now() + 25 * moment.HOUR)
    assert await _first(js, settings) == first


async def test_what_a_durable_consumer_has_not_acknowledged_stays(js: JetStreamContext, settings: Settings) -> None:
    await js.add_consumer(settings.stream, api.ConsumerConfig(durable_name="other", ack_policy=api.AckPolicy.EXPLICIT))
    other = await js.pull_subscribe_bind("other", settings.stream)
    for message in await other.fetch(3):
        await message.ack_sync()
    await trim(js, await _done(js, settings, 10), 24, moment.now() + 25 * moment.HOUR)
    assert await _first(js, settings) == 4


async def test_consumers_that_prevent_trimming_are_reported_with_how_much_and_since_when(
    js: JetStreamContext, settings: Settings
) -> None:
    heard: list[tuple[list[str], bool]] = []
    later = moment.now() + 25 * moment.HOUR

    def report(holders: Sequence[Holder], before: int, info: api.StreamInfo, *, full: bool) -> None:
        heard.append(([holder.describe(later, before, info.state.first_seq) for holder in holders], full))

    for name in ("forgotten", "quick"):
        await js.add_consumer(settings.stream, api.ConsumerConfig(durable_name=name, ack_policy=api.AckPolicy.EXPLICIT))
    quick = await js.pull_subscribe_bind("quick", settings.stream)
    for message in await quick.fetch(10):
        await message.ack_sync()
    await trim(js, await _done(js, settings, 10), 24, later, report)
    info = await js.stream_info(settings.stream)
    await js.update_stream(info.config, max_bytes=int(info.state.bytes * 1.1))
    # nothing that anybody needs is removed, even from a full stream
    assert await trim(js, await _done(js, settings, 10), 24, moment.now(), report) == 0
    await js.delete_consumer(settings.stream, "forgotten")
    assert await trim(js, await _done(js, settings, 10), 24, moment.now(), report) == 9
    assert heard == [
        (["forgotten (9 messages, idle for 25.0 h)"], False),
        (["forgotten (9 messages, idle for 25.0 h)"], True),
        ([], True),
    ]


async def test_all_consumers_are_found_however_many_there_are(js: JetStreamContext, settings: Settings) -> None:
    for number in range(holders_module.PAGE + 2):
        await js.add_consumer(settings.stream, api.ConsumerConfig(durable_name=f"c{number}"))
    found = await holders_module.holders(js, settings.stream)
    assert len({holder.name for holder in found}) == holders_module.PAGE + 2
