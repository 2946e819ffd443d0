"""The key of live batches: one per log, whichever process creates it, and another one for a new log."""

import asyncio

import pytest

from eventscope.errors import Blocked
from eventscope.store.log import Log
from eventscope.store.state import secret


async def test_processes_that_create_the_key_at_once_get_the_same(log: Log) -> None:
    assert await secret.key(log) is None
    made = await asyncio.gather(*(secret.ensure(log) for _ in range(20)))
    assert set(made) == {await secret.key(log)}
    assert len(made[0]) == secret.BYTES


async def test_a_recreated_log_has_another_key(log: Log) -> None:
    before = await secret.ensure(log)
    await log.mongo.client.drop_database(log.mongo.database.name)
    assert await secret.key(log) is None
    assert await secret.ensure(log) != before


@pytest.mark.parametrize("key", [None, "text", b"", b"short", 5])
async def test_a_damaged_key_is_named(log: Log, key: object) -> None:
    await log.meta.insert_one({"_id": secret.ID, "key": key})
    for found in (secret.key, secret.ensure):
        with pytest.raises(Blocked, match="the key of live batches in meta is damaged"):
            await found(log)
