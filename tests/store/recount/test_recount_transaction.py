"""A recount that dies, hangs or runs out of time in its transaction does not keep the log from being written."""

import asyncio
from dataclasses import replace

import pytest

from eventscope.errors import QuestionTimedOut
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document, Session
from eventscope.store.recount.difference import in_transaction
from eventscope.store.state import checkpoint, lease, recount_session
from tests.store.support.appender import Appender, Clock, event

LATE = 11_000_000  # microseconds: later than a transaction may last


async def nothing(session: Session, before: Document) -> None:
    pass


@pytest.fixture
async def hanging(log: Log, appender: Appender) -> asyncio.Task[None]:
    """A recount that stands still in its transaction, as one does whose process was killed or stopped."""
    await appender.store(event())
    begun = asyncio.Event()

    async def hang(session: Session, before: Document) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(in_transaction(log, hang))
    await begun.wait()
    return task


async def test_an_ingester_ends_an_overdue_transaction_of_a_recount_and_stores(
    log: Log, appender: Appender, clock: Clock, hanging: asyncio.Task[None]
) -> None:
    clock.now += LATE
    at = await lease.acquire(log, "first", 10)
    assert at is not None
    assert (await appender.store(event())).head == 2
    hanging.cancel()


async def test_a_recount_ends_an_overdue_transaction_of_another_and_does_its_work(
    log: Log, clock: Clock, hanging: asyncio.Task[None]
) -> None:
    clock.now += LATE
    await in_transaction(log, nothing)
    document = await log.meta.find_one({"_id": checkpoint.ID})
    assert document is not None
    assert (document["recounts"], "recounting" in document) == (1, False)
    hanging.cancel()


async def test_a_recount_waits_for_another_that_is_still_at_work(log: Log, appender: Appender) -> None:
    await appender.store(event())
    order: list[str] = []

    async def slow(session: Session, before: Document) -> None:
        waiting = asyncio.create_task(in_transaction(log, second))
        others.append(waiting)
        await asyncio.wait([waiting], timeout=2 * recount_session.WAIT_SECONDS)  # it looks more than once
        order.append("first")

    async def second(session: Session, before: Document) -> None:
        order.append("second")

    others: list[asyncio.Task[None]] = []
    await in_transaction(log, slow)
    await others[0]
    assert order == ["first", "second"]


async def test_a_recount_that_is_cancelled_in_its_transaction_releases_the_log(
    log: Log, appender: Appender, hanging: asyncio.Task[None]
) -> None:
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert (await appender.store(event())).head == 2


async def test_a_recount_that_runs_out_of_time_in_its_transaction_releases_the_log(
    log: Log, appender: Appender
) -> None:
    await appender.store(event())

    async def slow(session: Session, before: Document) -> None:
        while True:
            await log.aggregates.find_one({}, session=session)

    with pytest.raises(QuestionTimedOut):
        await in_transaction(replace(log, question_seconds=0.5), slow)
    assert (await appender.store(event())).head == 2


async def test_of_two_recounts_that_announce_themselves_both_do_their_work(log: Log, appender: Appender) -> None:
    await appender.store(event())
    await asyncio.gather(*(in_transaction(log, nothing) for _ in range(8)))
    document = await log.meta.find_one({"_id": checkpoint.ID})
    assert document is not None
    assert document["recounts"] == 8
