"""A stream that is read from its start again: nothing in it is stored twice, and nothing new is missed."""

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.store.values.message import EXPECTED_VERSION, StreamPosition
from eventscope.subscriptions.ingest import ingester as ingest_module
from eventscope.subscriptions.ingest.resume import StartPoint, start_of
from eventscope.subscriptions.nats import stream
from tests.support.ingesters import ingester
from tests.support.until import until


async def test_a_rejected_message_is_neither_rejected_again_nor_stored(
    settings: Settings, log: Log, client: Client, subject_prefix: str
) -> None:
    """The second message expects a version that the fourth reaches: read again, it would be accepted."""
    user = {"aggregateType": "user", "aggregateId": "ada"}
    subject = f"{subject_prefix}.user.updated"
    for number, message in enumerate((user, user, user, user, b"poison")):
        headers = {EXPECTED_VERSION: "3"} if number == 1 else None
        await client.publish(subject, message if isinstance(message, bytes) else orjson.dumps(message), headers=headers)
    async with ingester(settings):
        await until(lambda: _read_up_to(log, 5))
    await log.meta.update_one(
        {"_id": checkpoint.ID}, {"$set": {"place.sequence": 1000}}
    )  # as if the stream had lost its end
    async with ingester(settings):
        await until(lambda: _read_up_to(log, 5))
    assert (await checkpoint.read(log)).source_resets == 1
    assert [event["source"]["sequence"] async for event in log.events.find({}).sort("_id", 1)] == [1, 3, 4]
    rejected = log.rejected.find({}).sort("_id", 1)
    assert [(row["source"]["sequence"], row["code"]) async for row in rejected] == [
        (2, "VERSION_CONFLICT"),
        (5, "INVALID_JSON"),
    ]


async def test_a_stream_that_is_recreated_after_it_was_inspected_is_read_from_its_start(
    settings: Settings, log: Log, client: Client, subject_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new messages have sequences that the log had read in the old stream."""
    js = client.jetstream()

    async def publish(first: int) -> None:
        for number in range(first, first + 10):
            await js.publish(f"{subject_prefix}.user.updated", orjson.dumps({"messageId": f"m{number}"}))

    looks = 0

    async def look(client: Client, name: str, position: StreamPosition | None) -> StartPoint:
        nonlocal looks
        start = await start_of(client, name, position)
        looks += 1
        if looks == 1:
            await js.delete_stream(name)
            await stream.ensure(js, name, settings.subjects)
            await publish(10)
        return start

    await publish(0)
    async with ingester(settings):
        await until(lambda: _read_up_to(log, 10))
    monkeypatch.setattr(ingest_module, "start_of", look)
    async with ingester(settings):
        await until(lambda: _grown_to(log, 20))
    found = [event["messageId"] async for event in log.events.find({}).sort("_id", 1)]
    assert found == [f"m{number}" for number in range(20)]


async def _read_up_to(log: Log, sequence: int) -> bool:
    position = (await checkpoint.read(log)).stream_position
    return position is not None and position.sequence == sequence


async def _grown_to(log: Log, head: int) -> bool:
    return await checkpoint.head(log) == head
