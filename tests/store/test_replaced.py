"""Collections that were dropped, emptied, renamed or restored: a loss is noticed, and never concealed."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from eventscope.errors import Blocked, LeaseLost, Unavailable
from eventscope.store import incidents
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.recount.difference import Kind
from eventscope.store.recount.whole import recount
from eventscope.store.state import checkpoint, lease
from eventscope.store.stats import expiry
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.store.support.appender import FOREVER, Appender, Clock, event, everything, rejected_message

ADA = ("user", "ada")
KEPT = ("events", "aggregates", "rollups", "populations", "rejected", "expirations")


@pytest.fixture
async def log(mongo_url: str, database_name: str, driver: Driver, clock: Clock) -> AsyncIterator[Log]:
    """A log in a database of its own, with three events, one of them about ada, and a rejection."""
    async with open_log(mongo_url, database_name, driver, clock=clock) as log:
        await prepare(log)
        await write(log, event("a"), event("b", of=ADA), event("a"), rejected_message(b"x"))
        yield log


async def write(log: Log, *messages: Any, retention: Retention = FOREVER) -> None:
    """Take the lease and store these, as an ingester does."""
    async with writing(log, retention, "ann", 60) as writer:
        assert writer is not None
        source = Appender(log, writer.at)
        source.sequence = writer.at.stream_position.sequence if writer.at.stream_position is not None else 0
        await writer.append(source.batch(*messages))


async def lost_under_load(log: Log, *names: str, rename: bool = False) -> None:
    """Collections disappear while an ingester goes on writing; it creates them again without noticing."""
    async with writing(log, FOREVER, "ann", 60) as writer:
        assert writer is not None
        source = Appender(log, writer.at, sequence=4)
        for name in names:
            one = log.mongo.collection(name)
            await (one.rename(f"{name}_away") if rename else one.drop())
        await writer.append(source.batch(event("a"), event("b", of=("user", "bob"))))
        with pytest.raises(Unavailable, match=f"{', '.join(sorted(names))} (was|were) dropped or replaced just now"):
            await writer.renew()


async def blocked(log: Log, sentence: str) -> None:
    """Asserts that nobody can write, and that neither the attempt nor a recount changes anything."""
    before = await content(log)
    for _ in range(2):
        with pytest.raises(Blocked, match=sentence):
            await write(log, event("c"))
        with pytest.raises(Blocked, match=sentence):
            await recount(log, silent, repair=True)
        assert await content(log) == before


async def content(log: Log) -> dict[str, list[Document]]:
    """Everything in the log except the lease."""
    found = await everything(log)
    del found["meta"]
    return found


def silent(kind: Kind, done: int, total: int) -> None:
    """Notify nobody."""


async def dump(log: Log, *names: str) -> dict[str, list[Document]]:
    """A backup."""
    return {name: await log.mongo.collection(name).find({}).to_list(None) for name in names}


async def restore(log: Log, backup: dict[str, list[Document]]) -> None:
    """Restore the backup like `mongorestore --drop`, which replaces the collections."""
    for name, rows in backup.items():
        await log.mongo.collection(name).drop()
        if rows:
            await log.mongo.collection(name).insert_many(rows)


async def totals(log: Log) -> tuple[int, int]:
    """How many events and aggregates are counted."""
    events = await log.rollups.find({"_id.hour": {"$exists": True}}).to_list(None)
    aggregates = await log.populations.find({}).to_list(None)
    return sum(row["n"] for row in events), sum(row["n"] for row in aggregates)


@pytest.mark.parametrize("rename", [False, True])
async def test_events_that_were_dropped_under_load_stop_the_log_until_they_are_restored(log: Log, rename: bool) -> None:
    backup = await dump(log, "events")
    await lost_under_load(log, "events", rename=rename)
    await blocked(log, "collection events was lost or replaced, and holds 2 of the 5 events that were counted")
    assert await totals(log) == (5, 2)
    await log.events.insert_many(backup["events"])
    await write(log, event("c"))
    assert [row["_id"] for row in await log.events.find({}).sort("_id", 1).to_list(None)] == [1, 2, 3, 4, 5, 6]


async def test_a_loss_is_accepted_only_by_an_operator(log: Log) -> None:
    await lost_under_load(log, "events")
    await recount(log, silent, repair=True, accept_loss=True)
    assert (await totals(log))[0] == 2
    await write(log, event("c"))
    assert (await totals(log))[0] == 3


async def test_events_and_their_counts_that_were_lost_together_are_noticed_too(log: Log) -> None:
    await lost_under_load(log, "events", "rollups")
    await blocked(log, "reaches from position 4 to 5, but the event at 3 is not known to have expired")


async def test_aggregates_that_were_dropped_under_load_stop_the_log_until_a_recount_rebuilds_them(log: Log) -> None:
    await lost_under_load(log, "aggregates")
    sentence = (
        "aggregates was lost or replaced, and holds 1 of the 2 aggregates that were counted: run `eventscope recount`"
    )
    with pytest.raises(Blocked, match=sentence):
        await write(log, event("c"))
    await recount(log, silent, repair=True)
    await write(log, event("b", of=ADA))
    versions = await log.events.find({"aggregateId": "ada"}, {"version": 1}).sort("_id", 1).to_list(None)
    assert [row["version"] for row in versions] == [1, 2]


async def test_aggregates_that_were_dropped_under_load_stop_a_recount_too_once_events_have_expired(log: Log) -> None:
    await log.events.delete_one({"_id": 1})
    await lost_under_load(log, "aggregates")
    await blocked(log, "holds 1 of the 2 aggregates that were counted: restore .* then assigns their versions again")


@pytest.mark.parametrize("names", [["rollups"], ["populations"], ["populations", "rollups"]])
async def test_counts_that_were_dropped_under_load_are_rebuilt(
    log: Log, names: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await lost_under_load(log, *names)
    assert await totals(log) != (5, 2)
    await write(log, event("c"))
    assert await totals(log) == (6, 2)
    assert "counting its contents again" in caplog.text
    assert (await recount(log, silent, repair=False)).wrong == []


async def test_counts_that_were_not_restored_are_rebuilt(log: Log) -> None:
    await restore(log, await dump(log, *(name for name in KEPT if name not in ("rollups", "populations")), "meta"))
    for name in ("rollups", "populations"):
        await log.mongo.collection(name).drop()
    await write(log, event("c"))
    assert await totals(log) == (4, 1)


async def test_counts_that_were_emptied_are_rebuilt(log: Log) -> None:
    await log.rollups.delete_many({})
    await log.populations.delete_many({})
    await write(log, event("c"))
    assert await totals(log) == (4, 1)


async def test_writing_continues_in_a_completely_restored_backup(log: Log) -> None:
    backup = await dump(log, *KEPT, "meta")
    await write(log, event("later"))
    await restore(log, backup)
    await write(log, event("c"))
    assert (await totals(log), (await checkpoint.read(log)).head) == ((4, 1), 4)


async def test_an_older_backup_of_all_but_the_checkpoint_stops_the_log(log: Log) -> None:
    backup = await dump(log, *KEPT)
    await write(log, event("later", of=("user", "bob")))
    for name in ("rejected", "meta"):
        backup.pop(name, None)
    await restore(log, backup)
    with pytest.raises(Blocked, match="reaches from position 1 to 3, but the event at 4 is not known to have exp"):
        await write(log, event("c"))


async def test_expired_events_are_not_missed_in_a_restored_log(log: Log, clock: Clock) -> None:
    await write(log, event("brief"), event("long"), event("brief"), retention=Retention({"brief": 1}))
    backup = await dump(log, *KEPT)
    clock.now += 26 * HOUR
    await restore(log, backup)
    await log.events.delete_many({"expireAt": {"$lte": bson_date(clock.now)}})  # as MongoDB does
    await write(log, event("c"))
    await expiry.tidy(log)
    await restore(log, await dump(log, *KEPT))
    await write(log, event("c"))
    assert (await checkpoint.read(log)).head == 8


async def test_missing_rejections_are_reported(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    await log.rejected.drop()
    await write(log, event("c"))
    assert "the collection rejected was dropped or replaced" in caplog.text
    [incident] = (await incidents.read(log)).last
    assert incident.sentence.startswith("the collection rejected was dropped or replaced")


async def test_an_older_log_that_replaces_the_new_one_is_not_mistaken_for_a_slow_ingester(log: Log) -> None:
    backup = await dump(log, *KEPT, "meta")
    async with writing(log, FOREVER, "ann", 60) as writer:
        assert writer is not None
        await writer.append(Appender(log, writer.at, sequence=4).batch(event("later")))
        await restore(log, backup)
        with pytest.raises(LeaseLost, match=r"up to position 4 by ann, .* meta says 3: .* dropped or restored"):
            await writer.renew()


async def test_a_lease_from_a_clock_that_was_ahead_is_free_at_once(log: Log) -> None:
    await lease.acquire(log, "dead", 6)
    ahead = datetime.now() + timedelta(hours=48)
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": {"leaseUntil": ahead}})
    assert not (await checkpoint.read(log)).lease_held
    await write(log, event("c"))
