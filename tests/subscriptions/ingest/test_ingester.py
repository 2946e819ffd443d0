"""Ingest: what any NATS client publishes is in the log once, in order, whatever happens to the ingester."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
from nats.aio.client import Client

from eventscope.background import end
from eventscope.errors import Unavailable
from eventscope.settings import Settings
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Mongo, Session
from eventscope.store.mongo.write import Write
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.ingest.ingester import Ingester
from tests.support.ingesters import MANY, ingester, log_and_client, publish, wait_for_events
from tests.support.killable_servers import killable_nats
from tests.support.until import until


async def test_a_plain_message_without_headers_and_without_our_client_is_accepted(
    log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.user.created", orjson.dumps({"data": {"name": "Ada"}}))
    [event] = await until(lambda: pages.events(log, EVERYTHING, limit=10))
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
    [event] = await until(lambda: pages.events(log, EVERYTHING, limit=10))
    assert event["timestamp"] % 1_000_000 == 123456
    kept = {name: event[name] for name in message if name in event and name != "timestamp"}
    assert kept == {name: value for name, value in message.items() if name not in ("timestamp", "traceparent")}
    assert event["extensions"] == {"traceparent": "00-1"}


async def test_messages_from_before_the_ingester_started_are_stored_too(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await publish(client, subject_prefix, 10)
    async with ingester(settings):
        assert len(await wait_for_events(log, 10)) == 10


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"type":', "INVALID_JSON"),
        (b"\xff\xfe", "INVALID_JSON"),
        (b"[1]", "NOT_AN_OBJECT"),
        (b'{"type": "two words"}', "INVALID_TYPE"),
        (b'{"data": {"a\\u0000b": 1}}', "INVALID_KEY"),
        (b'{"data": {"n": 9223372036854775808}}', "INTEGER_TOO_LARGE"),
        (b'{"data": {"n": 123456789012345.6789}}', "NUMBER_TOO_PRECISE"),
        (b'{"data": {"n": 1e400}}', "NUMBER_TOO_PRECISE"),
        (b'{"data": {"n": 1, "n": 1}}', "DUPLICATE_KEY"),
        (b'{"data":' + b"[" * 100 + b"]" * 100 + b"}", "TOO_DEEP"),
        (b'{"timestamp": "soon"}', "INVALID_TIMESTAMP"),
        (b'{"userId": ["u"]}', "INVALID_FIELD"),
    ],
)
async def test_a_message_that_cannot_be_accepted_is_kept_with_the_reason_and_stops_nobody(
    raw: bytes, code: str, log: Log, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.user.created", raw, headers={"X-Trace": "1"})
    await client.publish(f"{subject_prefix}.user.created", b"{}")
    [event] = await wait_for_events(log, 1)
    [rejection] = await log.rejected.find({}).to_list(None)
    assert (rejection["code"], rejection["raw"], rejection["headers"]) == (code, raw, {"X-Trace": "1"})
    assert event["source"]["sequence"] == 2


async def test_a_message_without_a_type_on_a_subject_that_names_none_is_rejected(settings: Settings) -> None:
    settings = settings.model_copy(update={"subjects": (settings.subjects[0].removesuffix(".>") + ".plain",)})
    async with log_and_client(settings) as (log, client), ingester(settings):
        await client.publish(settings.subjects[0], b'{"data": 1}')
        await client.publish(settings.subjects[0], b'{"type": "a.b"}')
        [event] = await wait_for_events(log, 1)
        assert event["type"] == "a.b"
        assert [r["code"] for r in await log.rejected.find({}).to_list(None)] == ["MISSING_TYPE"]


async def test_a_message_over_a_mebibyte_is_rejected_and_kept(settings: Settings, tmp_path: Path) -> None:
    async with killable_nats(tmp_path) as server:
        settings = settings.model_copy(update={"nats_url": server.url})
        async with log_and_client(settings) as (log, client), ingester(settings):
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
    events = await wait_for_events(log, MANY)
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


@dataclass(frozen=True)
class Weak(Mongo):
    """A database that never completes a transaction of more than a hundred events in time."""

    sizes: list[int] = field(default_factory=list)

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        def end(result: Any) -> None:
            if sum(self.sizes[-1:]) > 100:
                raise Unavailable("MongoDB did not store a batch in time")

        self.sizes.extend(len(write.arguments[0]) for write in writes if write.collection.name == "events")
        await Mongo.transact(self, session, [*writes[:-1], replace(writes[-1], verify=end)])


async def test_a_database_that_is_too_slow_for_whole_batches_gets_smaller_ones_until_they_succeed(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await publish(client, subject_prefix, 600)
    weak = Weak(log.mongo.driver, log.mongo.client, log.mongo.database)
    one = Ingester(
        replace(log, mongo=weak),
        client,
        client.jetstream(),
        settings.stream,
        settings.subjects,
        Retention({}),
        batch=500,
        lease_seconds=6,
    )
    task = asyncio.create_task(one.run())
    assert len(await wait_for_events(log, 600)) == 600
    await end(task)
    assert max(weak.sizes) > 100, "whole batches were never tried"
