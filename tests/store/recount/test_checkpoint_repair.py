"""A checkpoint that is missing or too old: nothing is counted from it, and it is rebuilt only on request."""

from collections.abc import AsyncIterator, Sequence
from itertools import combinations
from typing import Any

import pytest

from eventscope.errors import Blocked
from eventscope.store.aggregates import AggregateCriteria, aggregates, by_name, version
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Driver
from eventscope.store.recount.difference import Kind
from eventscope.store.recount.whole import RecountReport, recount
from eventscope.store.rejected import quota
from eventscope.store.state import checkpoint
from eventscope.store.state.agreement import REBUILD
from eventscope.store.values.message import StreamPosition
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.store.support.appender import CREATED, FOREVER, STREAM, Appender, Clock, event, everything, rejected_message

ADA = ("user", "ada")
KEPT = ("events", "aggregates", "rollups", "populations", "rejected", "expirations")
DROPPED = ("meta", "events", "aggregates", "rollups", "populations")
FEW_OR_MOST = (*combinations(DROPPED, 1), *combinations(DROPPED, 2), DROPPED[:-1], DROPPED)
MESSAGES = (event("a", "1"), event("b", "2", of=ADA), event("a", "3"), event("b", "4", of=ADA), rejected_message(b"x"))


@pytest.fixture
async def log(mongo_url: str, database_name: str, driver: Driver, clock: Clock) -> AsyncIterator[Log]:
    """A log in a database of its own, with four events, two of them about ada, and a rejection."""
    async with open_log(mongo_url, database_name, driver, clock=clock) as log:
        await begin(log)
        yield log


async def begin(log: Log) -> None:
    await prepare(log)
    await write(log, *MESSAGES)


async def write(
    log: Log, *messages: Any, sequence: int | None = None, retention: Retention = FOREVER
) -> StreamPosition | None:
    """Store these as an ingester does; returns the position where it started."""
    async with writing(log, retention, "ann", 60) as writer:
        assert writer is not None
        position = writer.at.stream_position
        reached = 0 if position is None else position.sequence
        source = Appender(log, writer.at, sequence=reached if sequence is None else sequence)
        await writer.append(source.batch(*messages))
        return position


def silent(kind: Kind, done: int, total: int) -> None:
    """Notify nobody."""


async def mended(log: Log, *, accept_loss: bool = False) -> RecountReport:
    return await recount(log, silent, repair=True, accept_loss=accept_loss)


async def content(log: Log) -> dict[str, Any]:
    found = await everything(log)
    return {name: found[name] for name in found if name != "meta"}


async def positions(log: Log) -> list[int]:
    return [row["_id"] for row in await log.events.find({}).sort("_id", 1).to_list(None)]


async def refuses(log: Log, sentence: str) -> None:
    """Asserts that no recount changes anything or says that it would."""
    before = await everything(log)
    for repair in (False, True):
        with pytest.raises(Blocked, match=sentence):
            await recount(log, silent, repair=repair)
    assert await everything(log) == before


async def test_a_recount_refuses_to_count_without_a_checkpoint(log: Log) -> None:
    await log.meta.drop()
    await refuses(log, "events is not empty, but .* nothing was stored yet: restore .* `eventscope recount --acc")


async def test_a_recount_refuses_to_count_from_an_outdated_checkpoint(log: Log) -> None:
    older = await log.meta.find({}).to_list(None)
    await write(log, event("later"))
    await log.meta.drop()
    await log.meta.insert_many(older)
    await refuses(log, "events reaches to 5, but the checkpoint in meta stands at 4")


async def test_a_recount_refuses_to_count_if_newer_events_were_stored_than_exist(log: Log) -> None:
    await log.events.delete_many({"_id": {"$gt": 2}})
    await refuses(log, "events ends at position 2, but the checkpoint in meta stands at 4")


async def test_a_log_without_its_checkpoint_is_not_read_as_an_empty_one(log: Log) -> None:
    await log.meta.drop()
    for look in (checkpoint.head, checkpoint.read):
        with pytest.raises(Blocked, match="events is not empty, but the collection meta says"):
            await look(log)
    for name in KEPT:
        await log.mongo.collection(name).drop()
    assert await checkpoint.head(log) == (await checkpoint.read(log)).head == 0


async def test_a_missing_checkpoint_is_rebuilt_from_what_is_left(log: Log) -> None:
    before = await checkpoint.read(log)
    kept = await content(log)
    await log.meta.drop()
    report = await mended(log, accept_loss=True)
    assert (report.wrong, report.left, report.beyond) == ([], [], [])
    after = await checkpoint.read(log)
    assert (after.head, after.rejected_head, after.stream_position) == (
        before.head,
        before.rejected_head,
        before.stream_position,
    )
    assert after.identity not in (None, before.identity)
    assert await content(log) == kept
    # a message that is read again is recognized
    assert await write(log, *MESSAGES, event("new", "5"), sequence=0) == before.stream_position
    assert await positions(log) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("names", FEW_OR_MOST, ids="+".join)
async def test_whatever_was_lost_a_recount_refuses_or_repairs_it_and_the_loss_can_be_accepted(
    names: Sequence[str], log: Log
) -> None:
    for name in names:
        await log.mongo.collection(name).drop()
    before = await content(log)
    try:
        report = await mended(log)
    except Blocked:
        assert await content(log) == before
    else:
        assert report.left == []
        assert "events" not in names
        assert "meta" not in names
    report = await mended(log, accept_loss=True)
    assert (report.left, report.beyond) == ([], [])
    left = await positions(log)
    await write(log, event("new", "5", of=ADA), rejected_message(b"y"))
    nothing_knows = {"meta", "events", "aggregates", "rollups"} <= set(names)
    assert await positions(log) == [*left, 1 if nothing_knows else 5]
    assert len(await log.rejected.find({}).to_list(None)) == 2
    assert (await recount(log, silent, repair=False)).wrong == []


async def test_accepting_a_loss_when_nothing_is_lost_changes_nothing(log: Log) -> None:
    before, kept = await checkpoint.read(log), await content(log)
    assert (await mended(log, accept_loss=True)).wrong == []
    after = await checkpoint.read(log)
    assert (after.head, after.stream_position, after.identity) == (before.head, before.stream_position, before.identity)
    assert (after.collections, after.lost, await content(log)) == (before.collections, before.lost, kept)


async def test_a_position_after_the_newest_remaining_message_is_kept(log: Log) -> None:
    await log.rejected.delete_many({})
    before = await checkpoint.read(log)
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": {"head": 3}})
    await mended(log, accept_loss=True)
    after = await checkpoint.read(log)
    assert (after.head, after.stream_position) == (4, before.stream_position)


async def test_a_damaged_checkpoint_is_rebuilt_where_it_is_damaged(log: Log, clock: Clock) -> None:
    damaged = {"head": "four", "place": {"stream": 1}, "leaseUntil": 1, "lostCount": None, "sourceResets": 7}
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": damaged})
    await mended(log, accept_loss=True)
    found = await checkpoint.read(log)
    assert (found.head, found.stream_position) == (4, StreamPosition(STREAM, CREATED, 5, clock.now))
    assert (found.source_resets, found.lost_count) == (7, 0)
    await write(log, event("new"))


async def test_neither_foreign_documents_nor_dropped_rejections_falsify_the_numbers(log: Log) -> None:
    await log.meta.delete_one({"_id": checkpoint.ID})
    await log.meta.insert_one({"_id": quota.ID, "through": 7, "codes": {}})
    await log.events.insert_one({"_id": 99, "messageId": "no event"})
    await log.rejected.insert_one({"_id": 99, "messageId": "no rejection"})
    await mended(log, accept_loss=True)
    found = await checkpoint.read(log)
    assert (found.head, found.rejected_head) == (4, 7)


async def test_heads_of_aggregates_are_rebuilt_while_all_events_are_there(log: Log) -> None:
    kept = await content(log)
    await log.aggregates.drop()
    with pytest.raises(Blocked, match=REBUILD):
        await write(log, event("new", of=ADA))
    report = await recount(log, silent, repair=False)
    assert [(one.kind, one.found, one.key["id"]) for one in report.wrong] == [("head", None, "ada")]
    await mended(log)
    assert await content(log) == kept
    await write(log, event("new", "5", of=ADA))
    newest = await log.events.find_one({"_id": 5})
    assert newest is not None
    assert newest["version"] == 3


async def test_heads_of_aggregates_are_not_rebuilt_if_versions_might_be_lost(log: Log, clock: Clock) -> None:
    await write(log, event("brief", of=("user", "bob")), event("b", of=ADA), retention=Retention({"brief": 1}))
    clock.now += 26 * HOUR
    await log.events.delete_many({"expireAt": {"$lte": bson_date(clock.now)}})  # as MongoDB does
    await log.aggregates.drop()
    await refuses(log, "lacks version 3 of user ada.* then assigns their versions again")
    with pytest.raises(Blocked, match="then assigns their versions again"):
        await write(log, event("new", of=ADA))
    await mended(log, accept_loss=True)
    await write(log, event("new", of=ADA))
    assert await version(log, *ADA) == 4


@pytest.mark.parametrize("made_anew", [False, True])
async def test_a_replaced_collection_does_not_make_an_aggregate_seem_missing(log: Log, made_anew: bool) -> None:
    await write(log)  # which records the collections
    assert await version(log, "user", "nobody") is None
    assert await by_name(log, [("user", "nobody")]) == []
    await log.aggregates.drop()
    if made_anew:
        await log.aggregates.insert_one({"_id": {"type": "user", "id": "eve"}, "version": 1})
    for look in (
        version(log, *ADA),
        by_name(log, [ADA]),
        aggregates(log, AggregateCriteria(), limit=10, below=1),
    ):
        with pytest.raises(Blocked, match="the collection aggregates was dropped or replaced"):
            await look
