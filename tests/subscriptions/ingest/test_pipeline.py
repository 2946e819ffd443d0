"""Batches overlap in the pipeline, but are committed and announced one by one, and a failure stops none before it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.errors import Blocked
from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.store.values.message import ParsedMessage, StreamPosition
from eventscope.store.write.writer import Writer, writing
from eventscope.subscriptions.ingest.pipeline import Pipeline
from eventscope.subscriptions.ingest.portions import Portions
from eventscope.subscriptions.live import live_batch
from eventscope.subscriptions.observer import UNOBSERVED
from tests.store.support.appender import CREATED, FOREVER, STREAM, Appender, event
from tests.support.until import until


async def no_upkeep(writer: Writer) -> None:
    pass


@pytest.fixture
async def writer(log: Log) -> AsyncIterator[Writer]:
    async with writing(log, FOREVER, "first", 600) as writer:
        assert writer is not None
        await writer.begin(StreamPosition(STREAM, CREATED, 0, 0))
        yield writer


@pytest.fixture
def pipeline(log: Log, client: Client, settings: Settings) -> Pipeline:
    return Pipeline(log.clock, client, settings.stream, Portions(500), lambda subject: False, UNOBSERVED, no_upkeep)


@pytest.fixture
async def heard(client: Client, settings: Settings) -> list[tuple[int, int]]:
    """The positions before and after each batch, as it is announced."""
    heads: list[tuple[int, int]] = []
    subscription = await client.subscribe(live_batch.subject(settings.stream))

    async def listen() -> None:
        async for message in subscription.messages:
            batch = live_batch.decode(message.data)
            heads.append((batch.previous, batch.head))

    asyncio.get_running_loop().create_task(listen(), name="listen")
    return heads


def messages(writer: Writer, count: int) -> list[list[ParsedMessage]]:
    """So many batches, of one event about the same aggregate each."""
    source = Appender(writer.log, writer.at)
    return [list(source.batch(event("user.updated", of=("user", "1"))).messages) for _ in range(count)]


async def test_batches_are_announced_in_the_order_of_the_log(
    log: Log, writer: Writer, pipeline: Pipeline, heard: list[tuple[int, int]]
) -> None:
    async with pipeline.running(writer):
        for one in messages(writer, 20):
            await pipeline.store(writer, one)
    await until(lambda: len(heard) == 20)
    assert heard == [(n, n + 1) for n in range(20)]
    assert (pipeline.announced_position, writer.at.head) == (20, 20)
    assert await log.events.count_documents({}) == 20


async def test_what_stops_the_draft_of_a_batch_does_not_stop_the_one_that_is_being_written(
    log: Log, writer: Writer, pipeline: Pipeline, heard: list[tuple[int, int]]
) -> None:
    """Otherwise the good batch would be read again and again, and never be stored."""
    await log.aggregates.insert_one({"_id": {"type": "user", "id": "broken"}})
    [good] = messages(writer, 1)
    source = Appender(log, writer.at, sequence=1)
    bad = source.batch(event("user.updated", of=("user", "broken"))).messages
    with pytest.raises(Blocked):
        async with pipeline.running(writer):
            await pipeline.store(writer, good)
            await pipeline.store(writer, bad)
    await until(lambda: heard == [(0, 1)])
    assert writer.at.head == 1


async def test_a_cancelled_pipeline_leaves_nothing_that_is_being_written(writer: Writer, pipeline: Pipeline) -> None:
    begun = asyncio.Event()

    async def run() -> None:
        async with pipeline.running(writer):
            for one in messages(writer, 1):
                await pipeline.store(writer, one)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert writer.ahead is writer.at
