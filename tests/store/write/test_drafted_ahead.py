"""A batch that is drafted while the one before it is written: the same log as one after the other, or nothing of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventscope.errors import LeaseLost, Unstorable
from eventscope.store.log import Log
from eventscope.store.recount.whole import recount
from eventscope.store.state import checkpoint
from eventscope.store.values.message import MessageBatch, ParsedMessage, Stored
from eventscope.store.write.writer import Writer, writing
from tests.store.support.appender import FOREVER, Appender, event, everything, message_group, rejected_message

VARYING = ("log", "collections", "leaseUntil", "session", "secret")


@pytest.fixture
async def writer(log: Log) -> AsyncIterator[Writer]:
    async with writing(log, FOREVER, "first", 600) as writer:
        assert writer is not None
        yield writer


def batches(log: Log, at: Writer, *contents: list[ParsedMessage]) -> list[MessageBatch]:
    """These messages in batches that follow each other in the stream."""
    source = Appender(log, at.at)
    return [source.batch(*messages) for messages in contents]


async def store_ahead(writer: Writer, *those: MessageBatch) -> list[Stored]:
    """Draft each of them while the one before it is being written."""
    stored: list[Stored] = []
    task: asyncio.Task[Stored] | None = None
    for batch in those:
        prepared = await writer.prepare(batch)
        if task is not None:
            stored.append(await task)
        task = writer.start(prepared)
    assert task is not None
    return [*stored, await task]


def any_messages(chance: random.Random) -> list[ParsedMessage]:
    """Messages that often repeat, conflict, and depend on each other's outcome."""

    def one() -> Any:
        return event(
            chance.choice(("user.created", "user.updated", "user.deleted")),
            f"m{chance.randrange(30)}",
            of=("user", chance.choice("ab")) if chance.random() < 0.8 else None,
            expected=chance.choice((None, None, 0, 1, 2, 5)),
            at=1,
            data={"n": chance.randrange(2)},
        )

    messages: list[ParsedMessage] = []
    for _ in range(chance.randrange(1, 6)):
        match chance.randrange(8):
            case 0:
                messages.append(rejected_message(b"{"))
            case 1:
                messages.append(message_group(one(), one()))
            case _:
                messages.append(one())
    return messages


@pytest.mark.parametrize("seed", range(25))
async def test_the_log_is_the_same_as_if_each_batch_was_drafted_after_the_one_before(log: Log, seed: int) -> None:
    chance = random.Random(seed)
    contents = [any_messages(chance) for _ in range(8)]
    logs: list[Any] = []
    outcomes: list[Any] = []
    for ahead in (False, True):
        for name in await log.mongo.database.list_collection_names():
            await log.mongo.collection(name).delete_many({})
        async with writing(log, FOREVER, "first", 600) as writer:
            assert writer is not None
            those = batches(log, writer, *contents)
            stored = await store_ahead(writer, *those) if ahead else [await writer.append(one) for one in those]
        assert (await recount(log, lambda *_: None, repair=False)).wrong == []
        outcomes.append([(one.previous, one.head, one.rejected, one.duplicates, one.codes) for one in stored])
        logs.append(_comparable(await everything(log)))
    assert outcomes[0] == outcomes[1]
    assert logs[0] == logs[1]


async def test_versions_and_ids_of_a_batch_that_is_being_written_count(log: Log, writer: Writer) -> None:
    first, second = batches(
        log,
        writer,
        [event("user.created", "a", of=("user", "1"), at=1), event("user.updated", "b", of=("user", "1"), at=1)],
        [event("user.created", "a", of=("user", "1"), at=1), event("user.updated", "c", of=("user", "1"), expected=2)],
    )
    _, stored = await store_ahead(writer, first, second)
    assert (stored.duplicates, [one["version"] for one in stored.events], stored.rejected) == (1, [3], 0)


async def test_a_message_gets_the_outcome_that_it_has_in_a_batch_that_is_being_written(
    log: Log, writer: Writer
) -> None:
    refused = event("user.updated", "x", of=("user", "1"), at=1, expected=7)
    first, second = batches(log, writer, [refused], [event("user.created", of=("user", "1")), refused])
    before, after = await store_ahead(writer, first, second)
    assert (before.rejected, after.rejected, after.duplicates) == (1, 0, 1)
    assert after.outcomes[-1].rejection is not None
    assert after.outcomes[-1].rejection.actual_version == 0


async def test_a_batch_is_drafted_again_if_the_one_before_it_had_messages_that_were_stored_long_ago(
    log: Log, writer: Writer
) -> None:
    old, first, second = batches(
        log,
        writer,
        [event("user.created", "old", of=("user", "1"), at=1)],
        [event("user.created", "old", of=("user", "1"), at=1)],
        [event("user.updated", "new", of=("user", "1"))],
    )
    await writer.append(old)
    while writer.cache.expects_duplicates:  # otherwise they are looked up before
        writer.cache.note(0)
    repeated, stored = await store_ahead(writer, first, second)
    assert (repeated.duplicates, repeated.events) == (1, ())
    assert [(one["_id"], one["version"]) for one in stored.events] == [(2, 2)]


async def test_what_is_drafted_after_a_batch_that_is_not_stored_begins_where_that_began(
    log: Log, writer: Writer
) -> None:
    first, second = batches(log, writer, [event(of=("user", "1"))], [event(of=("user", "1"))])
    await log.mongo.database.command("collMod", "events", validator={"aggregateId": "2"})
    try:
        task = writer.start(await writer.prepare(first))
        ahead = await writer.prepare(second)
        with pytest.raises(Unstorable):
            await task
    finally:
        await log.mongo.database.command("collMod", "events", validator={})
    assert writer.ahead == writer.at
    stored = await writer.start(ahead)
    assert [(one["_id"], one["version"]) for one in stored.events] == [(1, 1)]


async def test_after_the_lease_is_lost_nothing_that_was_drafted_ahead_is_stored(log: Log, writer: Writer) -> None:
    first, second = batches(log, writer, [event()], [event()])
    await log.meta.update_one({"_id": checkpoint.ID}, {"$inc": {"term": 1}})
    task = writer.start(await writer.prepare(first))
    ahead = await writer.prepare(second)
    for one in (task, writer.start(ahead)):
        with pytest.raises(LeaseLost):
            await one
    assert await log.events.count_documents({}) == 0


def _comparable(documents: dict[str, list[dict[str, Any]]]) -> object:
    for one in documents["meta"]:
        for name in VARYING:
            one.pop(name, None)
    return documents
