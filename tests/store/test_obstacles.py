"""What others did to the database: one unstorable message stops nothing, and what stops the log is reported."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from eventscope.errors import Blocked, LeaseLost, Unstorable
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.state import checkpoint, lease
from eventscope.store.stats import expiry
from eventscope.store.values.message import ParsedMessage
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.store.support.appender import Appender, Clock, event, everything, message_group, rejected_message

ADA = ("user", "ada")


@pytest.fixture
async def log(mongo_url: str, database_name: str, driver: Driver, clock: Clock) -> AsyncIterator[Log]:
    """A log in a database of its own, since tests tamper with its indexes."""
    async with open_log(mongo_url, database_name, driver, clock=clock) as log:
        await prepare(log)
        yield log


async def test_a_foreign_unique_index_causes_a_rejection_and_is_named(log: Log, appender: Appender) -> None:
    await log.events.create_index("data.email", unique=True, name="emails")
    await appender.store(event(data={"email": "a"}))
    before = await everything(log)
    for batch in (
        [event(data={"email": "a"})],
        [event(data={"email": "b"}), event(data={"email": "b"})],
        [message_group(event(data={"email": "c"}), event(data={"email": "c"}))],
    ):
        with pytest.raises(
            Unstorable, match=r"unique index emails of the collection events.* already has this data.email"
        ):
            await appender.store(*batch)
        assert await everything(log) == before
    assert (await appender.store(event(data={"email": "b"}))).events[0]["_id"] == 2


async def test_a_stored_message_is_recognized_although_such_an_index_has_its_value(
    log: Log, appender: Appender
) -> None:
    await log.events.create_index("data.email", unique=True)
    for _ in range(2):
        stored = await appender.store(event("a.b", id="1", data={"email": "a"}))
    assert (stored.duplicates, stored.rejected) == (1, 0)


async def test_a_foreign_unique_index_on_aggregates_causes_a_rejection(log: Log, appender: Appender) -> None:
    await log.aggregates.create_index("_id.id", unique=True, name="ids")
    await appender.store(event(of=ADA))
    with pytest.raises(Unstorable, match="unique index ids of the collection aggregates"):
        await appender.store(event(of=("customer", "ada")))


FOREIGN: dict[str, tuple[str, Document, str]] = {
    "a rejection": ("rejected", {"_id": 2, "x": 1}, "the collection rejected already has the document 2"),
    "a head": ("aggregates", {"_id": {"type": "user", "id": "bob"}}, "collection aggregates is not Eventscope's"),
}


@pytest.mark.parametrize(("name", "document", "sentence"), FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_document_stops_the_log_until_it_is_gone_and_is_never_overwritten(
    name: str, document: Document, sentence: str, log: Log, appender: Appender
) -> None:
    await appender.store(event(of=ADA), rejected_message(b"x"))
    await log.mongo.collection(name).insert_one(dict(document))
    before = await everything(log)
    for _ in range(2):
        with pytest.raises(Blocked, match=sentence):
            await appender.store(event(of=("user", "bob")), rejected_message(b"y"))
        assert await everything(log) == before
    await log.mongo.collection(name).delete_one({"_id": document["_id"]})
    stored = await appender.store(event(of=("user", "bob")), rejected_message(b"y"))
    assert (stored.events[0]["_id"], stored.rejected) == (2, 1)


async def test_a_foreign_event_may_come_from_a_lost_race_until_the_next_start(log: Log, appender: Appender) -> None:
    await appender.store(event(of=ADA))
    await log.events.insert_one({"_id": 2, "x": 1})
    before = await everything(log)
    with pytest.raises(LeaseLost):
        await appender.store(event(of=ADA))
    with pytest.raises(Blocked, match="reaches to 2, but the checkpoint in meta stands at 1: remove"):
        async with writing(log, appender.retention, "first", 60):
            pass
    assert await log.events.find({}).sort("_id", 1).to_list(None) == before["events"]
    await log.events.delete_one({"_id": 2})
    async with writing(log, appender.retention, "first", 60) as writer:
        assert writer is not None
        assert writer.at.head == 1


async def test_heads_that_were_not_restored_stop_the_log(log: Log, appender: Appender) -> None:
    await appender.store(event(of=ADA))
    await log.aggregates.delete_many({})
    with pytest.raises(Blocked, match="events has version 1 of user ada, which the collection aggregates lacks"):
        await appender.store(event(of=ADA))


UNIQUE: dict[str, Callable[[Log], Any]] = {
    "rollups": lambda log: log.rollups.create_index("n", unique=True, name="ones"),
    "populations": lambda log: log.populations.create_index("n", unique=True, name="ones"),
    "rejected": lambda log: log.rejected.create_index("code", unique=True, name="ones"),
}


@pytest.mark.parametrize("name", ["rollups", "populations", "rejected"])
async def test_a_unique_index_on_what_the_log_counts_stops_it_until_it_is_dropped(
    name: str, log: Log, appender: Appender
) -> None:
    await UNIQUE[name](log)
    messages: list[ParsedMessage] = [
        event("a.b", of=ADA),
        event("c.d", of=("customer", "bob")),
        rejected_message(b"x"),
        rejected_message(b"y"),
    ]
    with pytest.raises(Blocked, match=rf'collection {name}, which .* db\.{name}\.dropIndex\("ones"\)'):
        await appender.store(*messages)
    await log.mongo.collection(name).drop_index("ones")
    assert len((await appender.store(*messages)).events) == 2


@pytest.mark.parametrize("name", ["rejected", "events"])
async def test_a_validator_on_a_collection_of_messages_causes_a_rejection(
    name: str, log: Log, appender: Appender
) -> None:
    await log.mongo.database.command({"collMod": name, "validator": {"never": {"$exists": True}}})
    with pytest.raises(Unstorable, match="failed validation"):
        await appender.store(event(of=ADA), rejected_message(b"x"))


@pytest.mark.parametrize("name", ["rollups", "populations", "aggregates", "meta"])
async def test_a_validator_on_what_the_log_counts_stops_it_until_it_is_removed(
    name: str, log: Log, appender: Appender
) -> None:
    await log.mongo.database.command({"collMod": name, "validator": {"never": {"$exists": True}}})
    for _ in range(2):
        with pytest.raises(Blocked, match=f"a validator of the collection {name} stops writes to the log"):
            await appender.store(event(of=ADA), rejected_message(b"x"))
    await log.mongo.database.command({"collMod": name, "validator": {}})
    assert len((await appender.store(event(of=ADA), rejected_message(b"x"))).events) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_validator_on_the_checkpoint_is_reported_to_an_ingester_that_takes_over(log: Log, begun: bool) -> None:
    await log.meta.insert_one({"_id": "other"})
    if begun:
        await lease.acquire(log, "ann", 60)
    await log.mongo.database.command({"collMod": "meta", "validator": {"never": {"$exists": True}}})
    for _ in range(2):
        with pytest.raises(Blocked, match="a validator of the collection meta stops writes to the log"):
            await lease.acquire(log, "ann", 60)


async def test_a_validator_on_the_notes_of_expired_events_is_not_a_message_fault(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event())
    clock.now += 26 * HOUR
    await log.events.delete_many({})  # as MongoDB does
    await log.mongo.database.command({"create": "expirations", "validator": {"never": {"$exists": True}}})
    with pytest.raises(Blocked, match="a validator of the collection expirations stops writes"):
        await expiry.tidy(log)


async def _view(log: Log, name: str) -> None:
    await log.mongo.collection(name).rename("other")
    await log.mongo.database.command({"create": name, "viewOn": "other", "pipeline": []})


async def _capped(log: Log, name: str) -> None:
    await log.mongo.database.command({"convertToCapped": name, "size": 1_000_000})


@pytest.mark.parametrize("name", ["events", "aggregates", "rejected", "rollups"])
@pytest.mark.parametrize("change", [_view, _capped])
async def test_a_collection_that_can_no_longer_hold_a_log_is_not_a_message_fault(
    change: Callable[[Log, str], Coroutine[Any, Any, None]], name: str, log: Log, appender: Appender
) -> None:
    await appender.store(event(of=ADA), rejected_message(b"x"))
    await change(log, name)
    with pytest.raises(Blocked, match=f"MongoDB refuses to write to the collection {name}: "):
        await appender.store(event(of=ADA), rejected_message(b"y"))


async def test_a_count_that_is_not_a_number_stops_the_log(log: Log, appender: Appender) -> None:
    await appender.store(event("a.b"))
    await log.rollups.update_many({}, {"$set": {"n": "many"}})
    with pytest.raises(Blocked, match="refuses to write to the collection rollups: "):
        await appender.store(event("a.b"))


async def test_a_lost_race_is_distinguished_from_an_obstacle(log: Log, appender: Appender) -> None:
    other = Appender(log, appender.at)
    await other.store(event(id="1"))
    with pytest.raises(LeaseLost):
        await appender.store(event(id="2"))
    assert (await checkpoint.read(log)).head == 1
