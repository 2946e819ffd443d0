"""Messages that take long to parse: all are stored in their order, and nothing else waits for them."""

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from tests.support.ingesters import has_reached, ingester, publish
from tests.support.until import until

# a mebibyte in which each object has to be checked, and the last one has a duplicate key
SLOW = b'{"b":[' + b"[0]," * 260_000 + b'0],"c":{"a":1,"a":2}}'
COUNT = 12


@pytest.fixture
async def slow(client: Client, subject_prefix: str) -> None:
    for _ in range(COUNT):
        await client.jetstream().publish(f"{subject_prefix}.slow.sent", SLOW)
    await publish(client, subject_prefix, 1)


async def kept(log: Log) -> list[int]:
    """The sequences of the rejected messages."""
    return [row["source"]["sequence"] async for row in log.rejected.find({}, {"source": 1}).sort("_id", 1)]


async def test_one_holder_of_the_lease_rejects_a_series_of_slow_messages(
    settings: Settings, log: Log, client: Client, slow: None, caplog: pytest.LogCaptureFixture
) -> None:
    async with ingester(settings.model_copy(update={"lease_seconds": 3.0})):
        await until(lambda: has_reached(log, 1), 120)
    assert await kept(log) == list(range(1, COUNT + 1))
    assert await log.events.count_documents({}) == 1
    assert (await checkpoint.read(log)).term == 1
    assert "ingest stopped" not in caplog.text


async def test_an_ingester_that_is_stopped_does_not_first_parse_what_has_arrived(
    settings: Settings, log: Log, client: Client, slow: None
) -> None:
    async with ingester(settings):
        await until(lambda: kept(log))
    assert len(await kept(log)) < COUNT
    async with ingester(settings):
        await until(lambda: has_reached(log, 1), 120)
    assert await kept(log) == list(range(1, COUNT + 1))
