"""The checkpoint and the lease in it: one writer at a time, and every new one has a higher term (I4)."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from eventscope.errors import Blocked, LeaseLost
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import checkpoint, lease
from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.message import StreamPosition
from tests.store.support.appender import CREATED, STREAM, Appender, event, rejected_message
from tests.support.until import until

LONG = 600.0
# MongoDB's clock decides, and tests cannot set it: they wait for this to pass, so it is short
SHORT = 1.0


async def end_lease(log: Log) -> None:
    """Let the lease end, as it does by itself after a time."""
    await log.meta.update_one({}, {"$set": {"leaseUntil": datetime(2000, 1, 1)}})


async def test_an_empty_log_has_a_checkpoint_at_its_start(log: Log) -> None:
    assert await checkpoint.read(log) == LogCheckpoint(
        head=0, rejected_head=0, stream_position=None, source_resets=0, holder=None, term=0, lease_held=False
    )
    assert await checkpoint.head(log) == 0


async def test_the_first_ingester_gets_the_lease_and_a_term(log: Log) -> None:
    ann = await lease.acquire(log, "ann", LONG)
    assert ann == LogCheckpoint(0, 0, None, 0, "ann", 1, True)
    assert await checkpoint.read(log) == ann


async def test_nobody_else_gets_the_lease_while_it_is_held(log: Log) -> None:
    ann = await lease.acquire(log, "ann", LONG)
    assert await lease.acquire(log, "bob", LONG) is None
    assert await checkpoint.read(log) == ann


async def test_of_many_concurrent_requests_one_gets_the_lease(log: Log) -> None:
    outcomes = await asyncio.gather(*(lease.acquire(log, f"holder {n}", LONG) for n in range(10)))
    [held] = [outcome for outcome in outcomes if outcome is not None]
    assert held.term == 1
    assert await checkpoint.read(log) == held


async def test_the_holder_keeps_its_term_when_it_renews_its_lease(log: Log) -> None:
    ann = await lease.acquire(log, "ann", SHORT)
    assert await lease.acquire(log, "ann", LONG) == ann
    assert await lease.acquire(log, "bob", LONG) is None


async def test_a_standby_takes_over_after_the_end_of_the_lease_with_a_higher_term(log: Log) -> None:
    await lease.acquire(log, "ann", SHORT)
    assert await lease.acquire(log, "bob", LONG) is None
    bob = await until(lambda: lease.acquire(log, "bob", LONG))
    assert bob is not None
    assert (bob.holder, bob.term, bob.lease_held) == ("bob", 2, True)
    assert await lease.acquire(log, "ann", LONG) is None


async def test_an_expired_lease_counts_as_no_longer_held(log: Log) -> None:
    await lease.acquire(log, "ann", LONG)
    await end_lease(log)
    assert not (await checkpoint.read(log)).lease_held
    late = await lease.acquire(log, "ann", LONG)
    assert late is not None
    assert (late.holder, late.term) == ("ann", 1)  # nobody else was there in between


async def test_a_lease_that_was_released_is_free_at_once(log: Log) -> None:
    await lease.acquire(log, "ann", LONG)
    await lease.release(log, "ann")
    free = await checkpoint.read(log)
    assert (free.holder, free.lease_held) == (None, False)
    bob = await lease.acquire(log, "bob", LONG)
    assert bob is not None
    assert bob.term == 2


async def test_only_the_holder_can_release_the_lease(log: Log) -> None:
    ann = await lease.acquire(log, "ann", LONG)
    await lease.release(log, "bob")
    assert await checkpoint.read(log) == ann


async def test_a_holder_may_have_any_name(log: Log) -> None:
    for term, name in enumerate(("$holder", "$$NOW", "a.b", "ü\n"), 1):
        held = await lease.acquire(log, name, LONG)
        assert held is not None
        assert (held.holder, held.term) == (name, term)
        await lease.release(log, name)


async def test_the_checkpoint_says_how_far_the_log_and_the_stream_have_got(log: Log, appender: Appender) -> None:
    await appender.store(event(), rejected_message(b"{"), event())
    at = await checkpoint.read(log)
    assert (at.head, at.rejected_head) == (2, 1)
    assert at.stream_position == StreamPosition(STREAM, CREATED, 3, log.clock())
    assert at == appender.at
    assert await checkpoint.head(log) == 2


async def test_a_reset_of_the_stream_is_counted_and_the_log_continues(log: Log, appender: Appender) -> None:
    await appender.store(event(), event())
    start = StreamPosition(STREAM, "another stream", 0, 0)
    await checkpoint.count_reset(log, appender.at, start)
    at = await checkpoint.read(log)
    assert (at.head, at.stream_position, at.source_resets) == (2, start, 1)

    with pytest.raises(LeaseLost):
        await appender.store(event())
    appender.at = at
    [third] = (await appender.store(event())).events
    assert third["_id"] == 3


async def test_only_the_holder_can_record_a_reset_of_the_stream(log: Log, appender: Appender) -> None:
    start = StreamPosition(STREAM, "another stream", 0, 0)
    for stale in (
        replace(appender.at, term=appender.at.term - 1),
        replace(appender.at, holder="another"),
        replace(appender.at, head=7),
    ):
        with pytest.raises(LeaseLost):
            await checkpoint.count_reset(log, stale, start)
    assert (await checkpoint.read(log)).source_resets == 0


async def test_a_holder_that_froze_within_its_transaction_blocks_nobody(log: Log) -> None:
    async with log.mongo.session() as frozen:
        ann = await lease.acquire(log, "ann", LONG, frozen.session_id)
        assert ann is not None
        await frozen.start_transaction() if log.mongo.driver == "pymongo" else frozen.start_transaction()
        await end_lease(log)
        moving = checkpoint.advance(log, ann, replace(ann, head=5))
        moving.verify(await moving.send(log.meta, frozen))

        async with asyncio.timeout(30):  # MongoDB by itself would abort the transaction after a minute
            bob = await lease.acquire(log, "bob", LONG)
            assert bob is not None
            assert (bob.head, bob.term) == (0, 2)
            assert (await Appender(log, bob).store(event())).head == 1
        with pytest.raises(Exception, match="aborted"):
            await frozen.commit_transaction()
    assert await checkpoint.head(log) == 1


async def test_a_log_gets_a_name_when_it_is_created_and_keeps_it(log: Log) -> None:
    assert not log.identity.is_known
    assert (await checkpoint.read(log)).identity is None
    assert (log.identity.is_known, log.identity.tag) == (True, None)
    ann = await lease.acquire(log, "ann", LONG)
    assert ann is not None
    assert ann.identity == log.identity.name is not None
    await end_lease(log)
    bob = await lease.acquire(log, "bob", LONG)
    assert bob is not None
    assert bob.identity == ann.identity == (await checkpoint.read(log)).identity


async def test_a_log_of_an_older_version_gets_one_name_however_many_try_at_the_same_time(log: Log) -> None:
    await log.meta.insert_one({"_id": "checkpoint", "head": 7, "term": 3})
    assert await checkpoint.head(log) == 7
    assert log.identity.tag is None
    taken = await asyncio.gather(*(lease.acquire(log, f"holder {n}", LONG) for n in range(8)))
    [name] = {at.identity for at in taken if at is not None}
    assert name is not None
    assert (await checkpoint.read(log)).identity == name
    await end_lease(log)
    again = await lease.acquire(log, "another", LONG)
    assert again is not None
    assert (again.identity, again.head) == (name, 7)


async def test_a_recreated_log_has_another_name_and_the_events_in_memory_are_dropped(
    log: Log,
) -> None:
    log = replace(log, recent=RecentEvents(10))
    assert log.recent is not None
    await lease.acquire(log, "ann", LONG)
    name = log.identity.name
    log.recent.restart(5)
    await checkpoint.head(log)
    assert log.recent.head == 5
    await log.meta.drop()
    await checkpoint.head(log)
    assert (log.identity.tag, log.recent.head) == (None, 5)  # it may be about to be restored
    await lease.acquire(log, "bob", LONG)
    assert log.identity.name not in (None, name)
    assert log.recent.head is None


async def test_an_invalid_name_is_reported_as_damaged(log: Log) -> None:
    await log.meta.insert_one({"_id": "checkpoint", "head": 7, "term": 3, "log": 5})
    for look in (checkpoint.read, checkpoint.head):
        with pytest.raises(Blocked, match="Eventscope never wrote this value of log"):
            await look(log)
