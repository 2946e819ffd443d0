"""The writer: it holds the lease for the length of a block, and stores each batch from where the last one ended."""

import pytest

from eventscope.errors import LeaseLost
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.state import checkpoint, lease
from eventscope.store.values.message import MessageBatch, StreamPosition
from eventscope.store.write.writer import writing
from tests.store.support.appender import CREATED, FOREVER, STREAM, Appender, event


async def batches(log: Log, *sizes: int) -> list[MessageBatch]:
    """Batches as they come from the stream."""
    source = Appender(log, await checkpoint.read(log))
    return [source.batch(*(event(of=("user", "ann")) for _ in range(size))) for size in sizes]


async def test_a_writer_stores_batch_after_batch(log: Log) -> None:
    async with writing(log, FOREVER, "ann", 600) as writer:
        assert writer is not None
        for batch in await batches(log, 3, 1, 2):
            await writer.append(batch)
        assert writer.at == await checkpoint.read(log)
    found = await pages.events(log, EVERYTHING, limit=10)
    assert [(e["_id"], e["version"]) for e in found] == [(n, n) for n in range(1, 7)]


async def test_the_lease_is_released_at_the_end(log: Log) -> None:
    async with writing(log, FOREVER, "ann", 600):
        async with writing(log, FOREVER, "bob", 600) as second:
            assert second is None
        assert (await checkpoint.read(log)).holder == "ann"
    assert not (await checkpoint.read(log)).lease_held
    async with writing(log, FOREVER, "bob", 600) as second:
        assert second is not None
        assert second.at.term == 2


async def test_the_lease_is_released_after_a_failure(log: Log) -> None:
    with pytest.raises(ZeroDivisionError):
        async with writing(log, FOREVER, "ann", 600):
            raise ZeroDivisionError
    assert not (await checkpoint.read(log)).lease_held


async def test_a_writer_keeps_its_lease_by_renewing_it(log: Log) -> None:
    async with writing(log, FOREVER, "ann", 600) as writer:
        assert writer is not None
        [batch] = await batches(log, 1)
        await writer.append(batch)
        await writer.renew()
        assert (writer.at.head, writer.at.term) == (1, 1)


async def test_a_writer_whose_lease_another_one_holds_cannot_renew_it(log: Log) -> None:
    async with writing(log, FOREVER, "ann", 600) as writer:
        assert writer is not None
        await lease.release(log, "ann")
        await lease.acquire(log, "bob", 600)
        with pytest.raises(LeaseLost, match="ann did not renew the lease in time"):
            await writer.renew()
        [batch] = await batches(log, 1)
        with pytest.raises(LeaseLost):
            await writer.append(batch)
    assert (await checkpoint.read(log)).holder == "bob"


async def test_a_writer_continues_after_a_reset_of_the_stream(log: Log) -> None:
    async with writing(log, FOREVER, "ann", 600) as writer:
        assert writer is not None
        first, second = await batches(log, 2, 2)
        await writer.append(first)
        await writer.start_again(StreamPosition(STREAM, CREATED, 0, 0))
        assert writer.at == await checkpoint.read(log)
        assert writer.at.source_resets == 1
        assert (await writer.append(second)).head == 4
