"""Writes that take effect together: all of them or none, whatever is raised or cancelled meanwhile."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from eventscope.store.log import Log, open_log
from eventscope.store.mongo.write import Write


async def test_within_a_transaction_all_or_nothing_takes_effect(log: Log) -> None:
    async with log.mongo.session() as session:
        with pytest.raises(ZeroDivisionError):
            async with log.mongo.transaction(session):
                await log.meta.insert_one({"_id": "a"}, session=session)
                raise ZeroDivisionError
        assert await log.meta.find({}).to_list(None) == []
        async with log.mongo.transaction(session):
            await log.meta.insert_one({"_id": "b"}, session=session)
            await log.meta.insert_one({"_id": "c"}, session=session)
            assert await log.meta.find({}).to_list(None) == []
        assert await log.meta.find({}).sort("_id", 1).to_list(None) == [{"_id": "b"}, {"_id": "c"}]


async def test_a_transaction_of_writes_takes_effect_completely_or_not_at_all(log: Log) -> None:
    def refuse(result: Any) -> None:
        raise ZeroDivisionError

    one = Write(log.meta, "insert_many", ([{"_id": "a"}, {"_id": "b"}],))
    other = Write(log.meta, "delete_many", ({"_id": "a"},))
    async with log.mongo.session() as session:
        with pytest.raises(ZeroDivisionError):
            await log.mongo.transact(session, [one, replace(other, verify=refuse)])
        assert await log.meta.find({}).to_list(None) == []
        await log.mongo.transact(session, [one, other])
        assert await log.meta.find({}).to_list(None) == [{"_id": "b"}]


async def test_a_caller_that_is_cancelled_while_a_thread_writes_waits_for_its_end(
    mongo_url: str, emptied_database: str
) -> None:
    reached, released = threading.Event(), threading.Event()

    def wait(result: Any) -> None:
        reached.set()
        assert released.wait(60)

    async with open_log(mongo_url, emptied_database, "motor") as log, log.mongo.session() as session:
        write = Write(log.meta, "insert_many", ([{"_id": "a"}],))
        task = asyncio.create_task(log.mongo.transact(session, [replace(write, verify=wait)]))
        assert await asyncio.to_thread(reached.wait, 60)
        for _ in range(3):
            task.cancel()
            await asyncio.wait([task], timeout=0.01)
        assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await log.meta.find_one({"_id": "a"}) == {"_id": "a"}
        await log.mongo.transact(session, [Write(log.meta, "delete_many", ({"_id": "a"},))])
        assert await log.meta.find_one({"_id": "a"}) is None
