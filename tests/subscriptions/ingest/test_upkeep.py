"""What an ingester maintains while MongoDB is slow or refuses something, or the program itself has a fault."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.background import end
from eventscope.errors import Unavailable
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Mongo, Session
from eventscope.store.mongo.write import Write
from eventscope.store.state import checkpoint
from eventscope.store.values.message import AcceptedMessage
from eventscope.store.write.draft import Draft
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.ingest import ingester as ingest_module
from eventscope.subscriptions.ingest.ingester import Ingester
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.ingest.resume import start_of
from eventscope.subscriptions.live import live_batch
from tests.subscriptions.support.ingest_state import error_id, outcomes, until_stopped
from tests.support.ingesters import ingester, publish, wait_for_events
from tests.support.until import until


@dataclass(frozen=True)
class Slow(Mongo):
    """A database in which every transaction takes a while."""

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        await asyncio.sleep(0.05)
        await Mongo.transact(self, session, writes)


@dataclass(frozen=True)
class Away(Mongo):
    """A database that answers, but accepts no transaction."""

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        raise Unavailable("MongoDB does not answer now")


def on(database: type[Mongo], log: Log, client: Client, settings: Settings, holder: str) -> Ingester:
    """An ingester on that kind of database."""
    mongo = database(log.mongo.driver, log.mongo.client, log.mongo.database)
    return Ingester(
        replace(log, mongo=mongo),
        client,
        client.jetstream(),
        settings.stream,
        settings.subjects,
        Retention({}),
        batch=500,
        lease_seconds=1.0,
        holder=holder,
    )


@asynccontextmanager
async def running(*ingesters: Ingester) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in ingesters]
    try:
        yield
    finally:
        await end(*tasks)


async def test_a_read_that_is_stored_one_by_one_keeps_the_lease_and_the_heartbeats(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    """A hundred transactions of 50 ms are five leases long, and a standby waits."""
    await publish(client, subject_prefix, 100)
    heads: list[int] = []

    async def hear(message: Msg) -> None:
        heads.append(live_batch.decode(message.data).head)

    slow = on(Slow, log, client, settings, "slow")
    slow._portions.most = 1
    await client.subscribe(live_batch.subject(settings.stream), cb=hear)
    async with running(slow):

        async def begun() -> bool:
            slow._portions.most = 1  # it doubles with every success
            return (await checkpoint.read(log)).head > 0

        await until(begun)
        async with running(on(Mongo, log, client, settings, "standby")):

            async def done() -> bool:
                slow._portions.most = 1
                at = await checkpoint.read(log)
                assert at.holder == "slow"
                return at.head >= 100

            await until(done)
    assert (await checkpoint.read(log)).term == 1
    assert heads[-1] == 100


@pytest.mark.parametrize(
    ("validator", "headers", "raw"),
    [
        ({"headers": {}}, {}, b"x" * 5000),
        ({"headers": {}, "$expr": {"$lt": [{"$binarySize": "$raw"}, 2000]}}, {}, b"x" * 1024),
    ],
)
async def test_a_rejection_that_mongodb_refuses_is_kept_in_a_smaller_form(
    validator: dict[str, Any],
    headers: dict[str, str],
    raw: bytes,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
) -> None:
    await log.mongo.database.command({"collMod": "rejected", "validator": validator})
    await client.publish(f"{subject_prefix}.a", b"x" * 5000, headers={"A": "b"})
    await publish(client, subject_prefix, 3)
    async with ingester(settings):
        await wait_for_events(log, 3)
    [row] = await log.rejected.find({}).to_list(None)
    assert (row["code"], row["headers"], row["raw"]) == ("INVALID_JSON", headers, raw)
    assert "MongoDB refuses" in row["reason"]


async def test_a_message_that_mongodb_refuses_in_every_form_stops_the_log_with_one_sentence_until_it_is_accepted(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    await log.mongo.database.command({"collMod": "rejected", "validator": {"impossible": True}})
    settings = settings.model_copy(update={"ingest_port": free()})
    await publish(client, subject_prefix, 2)
    await client.publish(f"{subject_prefix}.a", b"no json")
    await publish(client, subject_prefix, 2, start=2)
    async with ingester(settings):
        await wait_for_events(log, 2)
        await until_stopped(settings, "sequence 3")
        await until(lambda: caplog.text.count("MongoDB refuses sequence 3") >= 3)
        assert (await checkpoint.read(log)).head == 2
        await log.mongo.database.command({"collMod": "rejected", "validator": {}})
        assert await outcomes(log, 5) == dict.fromkeys((1, 2, 4, 5), "event") | {3: "INVALID_JSON"}
    assert "starts again in 0.8 s" in caplog.text, "the waits do not grow"
    assert "Traceback" not in caplog.text


async def test_waits_grow_until_something_is_stored(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await publish(client, subject_prefix, 1)
    away = on(Away, log, client, settings, "away")
    away.limits = IngestLimits(backoff=(0.01, 0.02, 0.03))
    async with running(away):
        await until(lambda: "starts again in 0.03 s" in caplog.text)
        away.log = log
        await wait_for_events(log, 1)
        assert away._pipeline.failures == 0
    waits = [record.args[0] for record in caplog.records if isinstance(record.args, tuple) and "again in" in record.msg]
    assert waits[:4] == [0.01, 0.02, 0.03, 0.03][: len(waits)]


async def test_an_unforeseen_error_is_logged_and_ingest_continues(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = 3

    async def faulty(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            raise KeyError("a fault of ours")
        return await start_of(*arguments)

    monkeypatch.setattr(ingest_module, "start_of", faulty)
    await publish(client, subject_prefix, 2)
    async with ingester(settings, IngestLimits(long_backoff=(0.01, 0.02))):
        await wait_for_events(log, 2)
    assert caplog.text.count("KeyError: 'a fault of ours'") == 3
    assert caplog.text.count("errorId") == 6
    assert "starts again in 0.02 s" in caplog.text


async def test_a_fault_of_ours_in_drafting_one_message_rejects_only_that_message(
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take = Draft._event

    def faulty(draft: Draft, message: AcceptedMessage) -> Any:
        if message.arrival.sequence == 4:
            raise KeyError("a fault of ours")
        return take(draft, message)

    monkeypatch.setattr(Draft, "_event", faulty)
    await publish(client, subject_prefix, 10)
    async with ingester(settings):
        assert await outcomes(log, 10) == dict.fromkeys(range(1, 11), "event") | {4: "UNSTORABLE"}
    [row] = await log.rejected.find({}).to_list(None)
    assert caplog.text.count(error_id(row["reason"])) == 1
    assert "ingest stopped" not in caplog.text


async def test_an_answer_that_nats_cannot_carry_stops_nobody(
    settings: Settings, log: Log, client: Client, subject_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    together = orjson.dumps([{"messageId": f"{n:04}{'x' * 1012}"} for n in range(1000)])
    client._max_payload = len(together) + 100
    headers = {"Eventscope-Reply-To": client.new_inbox()}
    await client.jetstream().publish(f"{subject_prefix}.a", together, headers=headers)
    await publish(client, subject_prefix, 1)
    async with running(on(Mongo, log, client, settings, "one")):
        await wait_for_events(log, 1001)
    assert "ingest stopped" not in caplog.text
