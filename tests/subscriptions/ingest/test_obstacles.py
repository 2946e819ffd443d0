"""What operators do to the servers while an ingester runs: it reports what stops it, and then continues by itself."""

from typing import Any

import httpx
import orjson
import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.ingesters import ingester, publish, wait_for_events
from tests.support.until import until


async def test_a_message_that_a_foreign_unique_index_refuses_becomes_a_rejection_and_the_rest_is_stored(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await log.events.create_index("data.email", unique=True, name="emails", sparse=True)
    js = client.jetstream()
    for raw in (
        {"data": {"email": "a"}},
        {"data": {"email": "b"}},
        {"data": {"email": "a"}},
        [{"type": "x", "data": {"email": "c"}}, {"type": "x", "data": {"email": "c"}}],
        {"data": {"email": "d"}},
    ):
        await js.publish(f"{subject_prefix}.user.created", orjson.dumps(raw))
    async with ingester(settings):
        events = await wait_for_events(log, 3)
        rejections = await until(lambda: _rejections(log, 2))
    assert [event["data"]["email"] for event in events] == ["a", "b", "d"]
    assert {row["code"] for row in rejections} == {"UNSTORABLE"}
    assert all("unique index emails" in row["reason"] for row in rejections)
    assert {row["source"]["sequence"] for row in rejections} == {3, 4}


async def test_a_dropped_database_is_rebuilt_from_the_stream_with_its_indexes(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    await publish(client, subject_prefix, 5)
    async with ingester(settings):
        for round in (1, 2):
            await wait_for_events(log, 5 * round)
            await log.mongo.client.drop_database(settings.mongo_database)
            await publish(client, subject_prefix, 5, 5 * round)
            assert len(await wait_for_events(log, 5 * round + 5)) == 5 * round + 5
            found = await log.events.index_information()
            assert found["messageId_1"]["unique"]
            assert found["expireAt_present"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("events", "the collection events ends at position 0, but the checkpoint in meta stands at 5"),
        ("meta", "the collection events is not empty, but the collection meta says that nothing was stored yet"),
        ("aggregates", "the collection aggregates lacks version 5 of user ada"),
    ],
)
async def test_a_lost_collection_stops_the_log_with_a_sentence_until_it_is_restored(
    name: str,
    sentence: str,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 2.0, "ingest_port": free()})
    js = client.jetstream()
    ada = orjson.dumps({"aggregateType": "user", "aggregateId": "ada"})
    for _ in range(5):
        await js.publish(f"{subject_prefix}.user.updated", ada)
    async with ingester(settings), httpx.AsyncClient() as http:
        await wait_for_events(log, 5)
        rows = await log.mongo.collection(name).find({}).to_list(None)
        await log.mongo.collection(name).drop()
        url = f"http://127.0.0.1:{settings.ingest_port}"

        async def stopped() -> bool:
            answer = await http.get(f"{url}/readyz")
            return answer.status_code == 503 and sentence in answer.text

        await until(stopped)
        await js.publish(f"{subject_prefix}.user.updated", ada)
        assert 'eventscope_ingest_errors_total{kind="blocked"}' in (await http.get(f"{url}/metrics")).text
        assert "Traceback" not in caplog.text
        await log.mongo.collection(name).insert_many(rows)
        assert [event["version"] for event in await wait_for_events(log, 6)] == [1, 2, 3, 4, 5, 6]


async def _rejections(log: Log, n: int) -> list[dict[str, Any]] | None:
    found = await log.rejected.find({}).to_list(None)
    return found if len(found) == n else None


@pytest.mark.parametrize("name", ["rollups", "populations", "aggregates", "meta"])
async def test_a_validator_on_what_the_log_counts_stops_it_and_blames_no_message(
    name: str,
    settings: Settings,
    log: Log,
    client: Client,
    subject_prefix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings.model_copy(update={"lease_seconds": 2.0, "ingest_port": free()})
    ada, bob = (orjson.dumps({"aggregateType": type, "aggregateId": "x"}) for type in ("ada", "bob"))
    async with ingester(settings), httpx.AsyncClient() as http:
        await client.jetstream().publish(f"{subject_prefix}.user.updated", ada)
        await wait_for_events(log, 1)
        await log.mongo.database.command({"collMod": name, "validator": {"zz": 1}})
        await client.jetstream().publish(f"{subject_prefix}.user.created", bob)

        async def stopped() -> bool:
            answer = await http.get(f"http://127.0.0.1:{settings.ingest_port}/readyz")
            return answer.status_code == 503 and f"a validator of the collection {name}" in answer.text

        await until(stopped)
        assert await log.rejected.find_one({}) is None
        assert "Traceback" not in caplog.text
        await log.mongo.database.command({"collMod": name, "validator": {}})
        assert [event["aggregateType"] for event in await wait_for_events(log, 2)] == ["ada", "bob"]
    assert await log.rejected.find_one({}) is None
