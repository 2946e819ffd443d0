"""One batch is one transaction: it takes effect as a whole or not at all, and only for the holder of the lease (I4)."""

import asyncio

import pytest
from pymongo import MongoClient

from eventscope.errors import Blocked, LeaseLost, Unavailable, Unstorable
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.rejected import messages
from eventscope.store.state import checkpoint, lease
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.values.message import StreamPosition
from eventscope.store.write.append import append
from tests.store.support.appender import CREATED, STREAM, Appender, Clock, event, everything, rejected_message
from tests.store.support.command_listener import Commands, log_with_listener

WRITES: list[Document] = [
    {"update": "meta"},
    {"insert": "events"},
    {"update": "rollups"},
    {"delete": "aggregates"},
    {"insert": "aggregates"},
    {"update": "populations"},
    {"insert": "rejected"},
]


async def test_of_two_batches_from_the_same_checkpoint_one_is_stored_completely_and_the_other_leaves_nothing(
    log: Log, appender: Appender
) -> None:
    for round in range(15):
        at = appender.at
        batches = [
            appender.batch(
                *(event(id=f"{round} {side} {n}", of=("side", side)) for n in range(20)),
                rejected_message(side.encode()),
            )
            for side in ("left", "right")
        ]
        outcomes = await asyncio.gather(
            *(append(log, appender.retention, at, batch) for batch in batches), return_exceptions=True
        )
        [(stored, appender.at)] = [outcome for outcome in outcomes if isinstance(outcome, tuple)]
        [error] = [outcome for outcome in outcomes if not isinstance(outcome, tuple)]
        assert isinstance(error, LeaseLost | Unavailable)
        assert await lease.acquire(log, "first", 600) == appender.at
        newest = await pages.events(log, EVERYTHING, limit=21, newest_first=True)
        assert [e["_id"] for e in newest[:20]] == list(range(stored.head, stored.previous, -1))
        assert len({e["aggregateId"] for e in newest[:20]}) == 1
    heads = await log.aggregates.find({}).to_list(None)
    assert sum(head["version"] for head in heads) == 15 * 20
    assert sum(cell.n for cell in await counts.cells(log, Scope())) == 15 * 20
    assert [r.number for r in await messages.rejections(log, limit=100)] == list(range(15, 0, -1))


async def test_a_writer_whose_lease_was_taken_over_stores_nothing(log: Log, appender: Appender) -> None:
    await appender.store(event(of=("user", "1")))
    await lease.release(log, "first")
    successor = await Appender.of(log, "successor")
    before = await everything(log)
    with pytest.raises(LeaseLost, match="another ingester than first moved the checkpoint"):
        await appender.store(event(of=("user", "1")), rejected_message(b"{"))
    assert await everything(log) == before
    await successor.store(event(of=("user", "1")))


async def test_a_writer_that_lost_and_regained_the_lease_stores_nothing_from_its_old_checkpoint(
    log: Log, appender: Appender
) -> None:
    await lease.release(log, "first")
    successor = await Appender.of(log, "successor")
    await lease.release(log, "successor")
    again = await Appender.of(log, "first")
    assert (appender.at.head, appender.at.stream_position) == (again.at.head, again.at.stream_position)
    assert appender.at.term < successor.at.term < again.at.term
    with pytest.raises(LeaseLost):
        await appender.store(event())
    await again.store(event())


async def test_a_batch_is_not_stored_twice_from_one_checkpoint(log: Log, appender: Appender) -> None:
    at = appender.at
    await appender.store(rejected_message(b"{"))  # the head stays where it is
    before = await everything(log)
    with pytest.raises(LeaseLost):
        await append(log, appender.retention, at, appender.batch(rejected_message(b"{")))
    assert await everything(log) == before


async def test_an_outdated_head_is_detected_even_if_the_stream_is_at_the_same_place_again(
    log: Log, appender: Appender
) -> None:
    start = StreamPosition(STREAM, CREATED, 0, 0)
    await checkpoint.count_reset(log, appender.at, start)
    stale = appender.at = await checkpoint.read(log)
    await appender.store(event())
    await checkpoint.count_reset(log, appender.at, start)
    with pytest.raises(LeaseLost):
        await append(log, appender.retention, stale, appender.batch(event()))
    assert await checkpoint.head(log) == 1


async def test_a_transaction_that_ends_at_any_point_before_its_commit_leaves_nothing(
    log: Log, appender: Appender, mongo_url: str, emptied_database: str, driver: Driver, clock: Clock
) -> None:
    await appender.store(event(id="a", of=("user", "1")), rejected_message(b"{"))
    before = await everything(log)
    ear = Commands()
    with MongoClient[Document](mongo_url) as other:
        async with log_with_listener(mongo_url, emptied_database, driver, clock, ear) as heard:
            for write in WRITES:

                def end(command: Document, write: Document = write) -> None:
                    if write.items() <= command.items():
                        other.admin.command({"killSessions": [command["lsid"]]})

                ear.after = end
                batch = appender.batch(event(of=("user", "2")), event(of=("user", "1")), rejected_message(b"{"))
                with pytest.raises(Unavailable):
                    await append(heard, appender.retention, appender.at, batch)
                assert await everything(log) == before, write
    assert (await appender.store(event(id="b", of=("user", "1")))).head == 2


@pytest.mark.parametrize("broken", ["events", "aggregates", "rollups", "populations", "rejected"])
async def test_a_failure_in_the_middle_leaves_nothing(log: Log, appender: Appender, broken: str) -> None:
    await appender.store(event(id="a", of=("user", "1")), rejected_message(b"{"))
    before = await everything(log)
    await log.mongo.database.command("collMod", broken, validator={"never": True})
    try:
        # events and rejected messages come from publishers, and may be set aside; the rest is the log's own
        with pytest.raises(Unstorable if broken in ("events", "rejected") else Blocked, match="failed validation"):
            await appender.store(
                event(id="b", of=("user", "2")), event(id="c", of=("user", "1")), rejected_message(b"{")
            )
    finally:
        await log.mongo.database.command("collMod", broken, validator={})
    assert await everything(log) == before

    stored = await appender.store(event(id="b", of=("user", "1")))
    assert [(e["_id"], e["version"]) for e in stored.events] == [(2, 2)]
