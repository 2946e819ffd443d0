"""The way in: what any NATS client publishes is in the log, once, in order, whatever happens to the ingester."""

import asyncio
import os
import random
import shutil
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import nats
import orjson
import pytest
from nats.aio.client import Client

from eventscope.guard import guarded, lifeline
from eventscope.ingesting import ingest
from eventscope.settings import PREFIX, Settings
from eventscope.store import checkpoint, counts, read
from eventscope.store.counts import Scope
from eventscope.store.documents import Event
from eventscope.store.filter import EVERYTHING
from eventscope.store.log import Log, open_log, prepare
from eventscope.subscriptions import stream
from tests.servers import own_nats
from tests.until import until

MANY = 5000


async def test_a_plain_message_with_no_header_and_no_code_of_ours_is_taken(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.user.created", orjson.dumps({"data": {"name": "Ada"}}))
    [event] = await until(lambda: read.events(log, EVERYTHING, limit=10))
    assert (event["_id"], event["type"], event["data"]) == (1, "user.created", {"name": "Ada"})
    assert event["timestamp"] == event["recordedAt"]


async def test_every_field_of_a_message_is_kept_and_unknown_members_too(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    message = {
        "messageId": "m1",
        "type": "vendor.created",
        "timestamp": "2026-11-23T07:00:00.123456+01:00",
        "aggregateType": "vendor",
        "aggregateId": "v1",
        "version": 1,
        "correlationId": "c",
        "causationId": "x",
        "userId": "u",
        "data": {"$set": {"a.b": 1}},
        "metadata": {"why": None},
        "traceparent": "00-1",
    }
    await client.publish(f"{subject_prefix}.anything", orjson.dumps(message))
    [event] = await until(lambda: read.events(log, EVERYTHING, limit=10))
    assert event["timestamp"] % 1_000_000 == 123456
    kept = {name: event[name] for name in message if name in event and name != "timestamp"}
    assert kept == {name: value for name, value in message.items() if name not in ("timestamp", "traceparent")}
    assert event["extensions"] == {"traceparent": "00-1"}


async def test_messages_that_were_there_before_the_ingester_are_taken_too(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await _publish(client, subject_prefix, 10)
    async with _ingester(settings):
        assert len(await _stored(log, 10)) == 10


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"type":', "INVALID_JSON"),
        (b"\xff\xfe", "INVALID_JSON"),
        (b"[1]", "NOT_AN_OBJECT"),
        (b'{"type": "two words"}', "INVALID_TYPE"),
        (b'{"data": {"a\\u0000b": 1}}', "INVALID_KEY"),
        (b'{"data": {"n": 9223372036854775808}}', "INTEGER_TOO_LARGE"),
        (b'{"data":' + b"[" * 100 + b"]" * 100 + b"}", "TOO_DEEP"),
        (b'{"timestamp": "soon"}', "INVALID_TIMESTAMP"),
        (b'{"userId": ["u"]}', "INVALID_FIELD"),
        (b'{"version": 3}', "NO_AGGREGATE"),
        (b'{"aggregateType": "t", "aggregateId": "i", "version": 3}', "VERSION_CONFLICT"),
    ],
)
async def test_what_cannot_be_taken_is_kept_with_its_reason_and_stops_nobody(
    raw: bytes, code: str, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.user.created", raw, headers={"X-Trace": "1"})
    await client.publish(f"{subject_prefix}.user.created", b"{}")
    [event] = await _stored(log, 1)
    [rejection] = await log.rejected.find({}).to_list(None)
    assert (rejection["code"], rejection["raw"], rejection["headers"]) == (code, raw, {"X-Trace": "1"})
    assert event["source"]["sequence"] == 2


async def test_a_message_without_a_type_on_a_subject_that_names_none_is_rejected(settings: Settings) -> None:
    settings = settings.model_copy(update={"subjects": (settings.subjects[0].removesuffix(".>") + ".plain",)})
    async with _world(settings) as (log, client), _ingester(settings):
        await client.publish(settings.subjects[0], b'{"data": 1}')
        await client.publish(settings.subjects[0], b'{"type": "a.b"}')
        [event] = await _stored(log, 1)
        assert event["type"] == "a.b"
        assert [r["code"] for r in await log.rejected.find({}).to_list(None)] == ["MISSING_TYPE"]


async def test_a_message_over_a_mebibyte_is_rejected_and_kept(settings: Settings, tmp_path: Path) -> None:
    async with own_nats(tmp_path) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with _world(settings) as (log, client), _ingester(settings):
            assert client.max_payload > 1024 * 1024
            raw = b'{"data": "' + b"x" * (1024 * 1024) + b'"}'
            await client.publish(settings.subjects[0].replace(">", "user.created"), raw)
            await until(lambda: log.rejected.find_one({"code": "TOO_LARGE", "raw": raw}))


async def test_five_thousand_events_of_five_hundred_aggregates_get_dense_positions_and_versions(
    settings: Settings, log: Log, subject_prefix: str, client: Client, ingesting: None
) -> None:
    async def publish(connection: int) -> None:
        service = await nats.connect(settings.nats_url)
        for number in range(connection, MANY, 5):
            message = {"aggregateType": "user", "aggregateId": str(number % 500), "data": {"number": number}}
            await service.publish(
                f"{subject_prefix}.user.{'updated' if number % 3 else 'created'}", orjson.dumps(message)
            )
        await service.close()

    await asyncio.gather(*(publish(connection) for connection in range(5)))
    events = await _stored(log, MANY)
    assert [event["_id"] for event in events] == list(range(1, MANY + 1))
    assert sorted(event["data"]["number"] for event in events) == list(range(MANY))
    versions = defaultdict(list)
    for event in events:
        versions[event["aggregateId"]].append(event["version"])
    assert len(versions) == 500
    assert all(found == list(range(1, 11)) for found in versions.values())
    recount = Counter(event["type"] for event in events)
    assert Counter({cell.type: cell.n for cell in await counts.cells(log, Scope())}) == recount
    assert await counts.aggregates(log, Scope()) == 500


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
        ingester = await _ingester_process(settings)
        # somewhere in the middle of its work, which never gets to the end
        target = head + chance.randint(1, 300)
        await until(partial(_passed, log, target))
        os.kill(ingester.pid, signal.SIGKILL)
        await ingester.wait()
        assert head < (await checkpoint.read(log)).head < MANY, kill
    await publishing
    ingester = await _ingester_process(settings)
    events = await _stored(log, MANY)
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
    first = await _ingester_process(settings)
    await until(lambda: _held(log))
    async with _ingester(settings):
        await _publish(client, subject_prefix, 10)
        await _stored(log, 10)
        term = (await checkpoint.read(log)).term
        first.kill()
        await first.wait()
        await _publish(client, subject_prefix, 10, start=10)
        assert len(await _stored(log, 20)) == 20
        assert (await checkpoint.read(log)).term > term


async def test_a_stream_that_is_made_anew_is_read_from_its_start_and_what_is_known_is_dropped(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    async with _ingester(settings):
        await _publish(client, subject_prefix, 10)
        await _stored(log, 10)
    js = client.jetstream()
    await js.delete_stream(settings.stream)
    await stream.ensure(js, settings.stream, settings.subjects)
    await _publish(client, subject_prefix, 30)
    async with _ingester(settings):
        events = await _stored(log, 30)
    assert [event["messageId"] for event in events] == [f"m{number}" for number in range(30)]
    assert (await checkpoint.read(log)).source_resets == 1


async def test_a_stream_that_lost_its_tail_and_gives_sequences_anew_loses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    """The store directory as it was before the last 20 messages comes back, as after a loss of power."""
    folder, before = tmp_path / "nats", tmp_path / "before"
    prefix = settings.subjects[0].removesuffix(".>")
    async with own_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with _world(settings) as (log, client):
            await _publish(client, prefix, 20)
    shutil.copytree(folder, before)
    async with own_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with _world(settings) as (log, client), _ingester(settings):
            await _publish(client, prefix, 20, start=20)
            await _stored(log, 40)
    shutil.rmtree(folder)
    shutil.copytree(before, folder)
    async with own_nats(folder) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with _world(settings) as (log, client):
            # as many new ones as were lost: every sequence that is stored is there again, with another message
            await _publish(client, prefix, 20, start=100)
            async with _ingester(settings):
                events = await _stored(log, 60)
            new = [event["messageId"] for event in events[40:]]
            assert new == [f"m{number}" for number in range(100, 120)]
            assert (await checkpoint.read(log)).source_resets == 1


async def test_what_was_published_while_mongodb_or_nats_was_away_is_taken_when_they_are_back(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path
    prefix = settings.subjects[0].removesuffix(".>")
    async with own_nats(folder) as server:
        port, settings = server.port, settings.model_copy(update={"nats_url": server.url})
        async with _world(settings) as (log, client):
            task = asyncio.create_task(ingest(settings))
            await _publish(client, prefix, 5)
            await _stored(log, 5)
    async with open_log(settings.mongo_url, settings.mongo_database) as log, own_nats(folder, port) as server:
        client = await nats.connect(server.url)
        await until(lambda: _published(client, prefix, 5))
        events = await _stored(log, 10)
        await client.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [event["messageId"] for event in events] == [f"m{number}" for number in range(10)]


@asynccontextmanager
async def _world(settings: Settings) -> AsyncIterator[tuple[Log, Client]]:
    """A log and a bare connection, for settings that are not the common ones."""
    async with open_log(settings.mongo_url, settings.mongo_database) as log:
        await prepare(log)
        client = await nats.connect(settings.nats_url)
        await stream.ensure(client.jetstream(), settings.stream, settings.subjects)
        yield log, client
        await client.close()


@asynccontextmanager
async def _ingester(settings: Settings) -> AsyncIterator[None]:
    task = asyncio.create_task(ingest(settings))
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _ingester_process(settings: Settings) -> asyncio.subprocess.Process:
    environment = {
        f"{PREFIX}MONGO_URL": settings.mongo_url,
        f"{PREFIX}MONGO_DATABASE": settings.mongo_database,
        f"{PREFIX}NATS_URL": settings.nats_url,
        f"{PREFIX}STREAM": settings.stream,
        f"{PREFIX}SUBJECTS": ",".join(settings.subjects),
        f"{PREFIX}BATCH": str(settings.batch),
        f"{PREFIX}LEASE_SECONDS": str(settings.lease_seconds),
    }
    return await asyncio.create_subprocess_exec(
        *guarded([sys.executable, "-m", "eventscope", "ingest"]),
        stdin=lifeline(),
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | environment,
    )


async def _publish(client: Client, prefix: str, count: int, start: int = 0) -> None:
    js = client.jetstream()
    for number in range(start, start + count):
        await js.publish(f"{prefix}.user.updated", orjson.dumps({"messageId": f"m{number}", "data": number}))


async def _published(client: Client, prefix: str, start: int) -> bool:
    with suppress(nats.errors.Error):
        await _publish(client, prefix, 5, start)
        return True
    return False


async def _stored(log: Log, count: int) -> Sequence[Event]:
    await until(lambda: _passed(log, count))
    return await read.events(log, EVERYTHING, limit=count + 100)


async def _passed(log: Log, head: int) -> bool:
    return (await checkpoint.read(log)).head >= min(head, MANY)


async def _held(log: Log) -> bool:
    return (await checkpoint.read(log)).lease_held
