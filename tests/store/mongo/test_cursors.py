"""Cursors of both drivers are read alike, and a read that nobody waits for any more leaves nothing in the log."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from eventscope.processes.ports import HOST, free
from eventscope.store.log import Log
from eventscope.store.mongo import cursors
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.driver import Collection, Document, Mongo, connect
from tests.store.support.appender import Appender, event

IDS = [{"$sort": {"_id": 1}}, {"$project": {"_id": 1}}]
ATTEMPTS = 150  # one in ten to twenty was logged when motor itself read its cursors to the end

READS: dict[str, Callable[[Mongo, Collection], Coroutine[Any, Any, object]]] = {
    "find": lambda _, collection: cursors.fetch_all(collection.find({})),
    "aggregate": lambda mongo, collection: mongo.aggregate(collection, []),
    "aggregate of large documents": lambda mongo, collection: mongo.aggregate_large(collection, [], 1, ReadBudget()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_that_is_cancelled_and_fails_while_the_loop_ends_is_not_logged_as_an_error(
    read: Callable[[Mongo, Collection], Coroutine[Any, Any, object]], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"mongodb://{HOST}:{free()}/"

    async def give_up() -> None:
        async with connect(url, "eventscope", "motor") as mongo:
            task = asyncio.create_task(read(mongo, mongo.collection("events")))
            await asyncio.sleep(0)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    for _ in range(ATTEMPTS):
        asyncio.run(give_up())
    gc.collect()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_documents_come_all_at_once_in_batches_or_undecoded(log: Log, appender: Appender) -> None:
    await appender.store(*[event(str(number)) for number in range(5)])
    expected: list[Document] = [{"_id": position} for position in range(1, 6)]

    assert await cursors.fetch_all(log.events.find({}, {"_id": 1}).sort("_id", 1)) == expected

    cursor = await cursors.aggregate(log.events, IDS)
    assert [await cursors.fetch(cursor, 3) for _ in range(3)] == [expected[:3], expected[3:], []]
    await cursors.close(cursor)

    raw = await cursors.aggregate_raw(log.events, IDS)
    assert await cursors.fetch_raw(raw) is not None
    assert await cursors.fetch_raw(raw) is None


async def test_a_pipeline_reads_what_its_transaction_wrote(log: Log, appender: Appender) -> None:
    await appender.store(event("1"))

    async with log.mongo.session() as session:
        with suppress(InterruptedError):
            async with log.mongo.transaction(session):
                await log.events.delete_many({}, session=session)
                assert await log.mongo.aggregate(log.events, IDS, session=session) == []
                raise InterruptedError
    assert await log.mongo.aggregate(log.events, IDS) == [{"_id": 1}]
