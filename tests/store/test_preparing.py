"""Collections and indexes that operators changed: usable ones are used, and obstacles are reported in one sentence."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from eventscope.errors import Blocked, CannotStart, Unavailable
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.state import lease
from eventscope.store.stats import expiry
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from eventscope.store.write.writer import writing
from tests.store.support.appender import FOREVER, Appender, Clock, event, everything, rejected_message

ADA = ("user", "ada")


@pytest.fixture
async def bare(mongo_url: str, database_name: str, driver: Driver, clock: Clock) -> AsyncIterator[Log]:
    """A log in a database of its own that has not been prepared."""
    async with open_log(mongo_url, database_name, driver, clock=clock, indexed_paths=["data.a"]) as log:
        yield log


async def test_an_index_with_another_name_and_the_same_keys_and_options_is_used(bare: Log) -> None:
    await bare.events.create_index([("type", 1), ("_id", 1)], name="of a DBA")
    await bare.events.create_index("messageId", unique=True, name="ids")
    expiring = {"expireAt": {"$exists": True}}
    await bare.events.create_index("expireAt", expireAfterSeconds=0, name="ttl", partialFilterExpression=expiring)
    await prepare(bare)
    await prepare(bare)
    found = await bare.events.index_information()
    assert {"of a DBA", "ids", "ttl", "path_data.a"} <= set(found)
    assert not {"type_1__id_1", "messageId_1", "expireAt_present"} & set(found)


UNFIT: dict[str, tuple[str, list[tuple[str, int]], Document, str]] = {
    "no TTL": ("rejected", [("expireAt", 1)], {"name": "x"}, "x of the collection rejected expires nothing"),
    "another TTL": (
        "rejected",
        [("expireAt", 1)],
        {"expireAfterSeconds": 60},
        "expireAt_1 .* expires documents after 60 s",
    ),
    "no TTL, of events": (
        "events",
        [("expireAt", 1)],
        {"name": "x", "partialFilterExpression": {"expireAt": {"$exists": True}}},
        "x of the collection events expires nothing",
    ),
    "another TTL, of events": (
        "events",
        [("expireAt", 1)],
        {"name": "x", "expireAfterSeconds": 60, "partialFilterExpression": {"expireAt": {"$exists": True}}},
        "x .* expires documents after 60 s",
    ),
    "not unique": ("events", [("messageId", 1)], {}, "messageId_1 of the collection events is not unique"),
    "another filter": (
        "events",
        [("aggregateType", 1), ("aggregateId", 1), ("version", 1)],
        {"unique": True, "partialFilterExpression": {"version": {"$gt": 0}}},
        "differs in partialFilterExpression",
    ),
    "our name for other keys": ("rejected", [("x", 1)], {"name": "code_1__id_1"}, "is on x and not on code, _id"),
    "hidden": ("aggregates", [("last.position", 1)], {"hidden": True}, "differs in hidden"),
    "of a path": (
        "events",
        [("data.a", 1)],
        {"name": "path_data.a"},
        "is on data.a and not on data.a, _id",
    ),
}


@pytest.mark.parametrize(("name", "keys", "options", "sentence"), UNFIT.values(), ids=UNFIT)
async def test_an_unsuitable_index_is_reported_with_the_command_that_drops_it(
    name: str, keys: list[tuple[str, int]], options: Document, sentence: str, bare: Log
) -> None:
    index = await bare.mongo.collection(name).create_index(keys, **options)
    with pytest.raises(CannotStart, match=sentence) as refusal:
        await prepare(bare)
    said = str(refusal.value)
    assert f'db.{name}.dropIndex("{index}")' in said
    assert "\n" not in said
    await bare.mongo.collection(name).drop_index(index)
    await prepare(bare)


async def test_an_index_that_causes_no_conflict_stays(bare: Log) -> None:
    await bare.events.create_index("messageId", name="not unique")
    await prepare(bare)
    assert (await bare.events.index_information())["messageId_1"]["unique"]


async def test_duplicate_values_are_reported(bare: Log) -> None:
    await bare.events.insert_many([{"_id": 1, "messageId": "a"}, {"_id": 2, "messageId": "a"}])
    with pytest.raises(CannotStart, match=r"collection events has duplicates of a value .* remove one of the two"):
        await prepare(bare)


async def _view(log: Log) -> None:
    await log.mongo.database.command({"create": "rejected", "viewOn": "other", "pipeline": []})


async def _capped(log: Log) -> None:
    await log.mongo.database.command({"create": "events", "capped": True, "size": 100_000})


async def _series(log: Log) -> None:
    await log.mongo.database.command({"create": "rollups", "timeseries": {"timeField": "t"}})


async def _collated(log: Log) -> None:
    await log.mongo.database.command({"create": "meta", "collation": {"locale": "de", "strength": 1}})


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_view, "rejected is a view"),
        (_capped, "events is capped, and so loses documents"),
        (_series, "rollups is a time series"),
        (_collated, "meta has a collation of its own"),
    ],
)
async def test_a_collection_that_cannot_hold_a_log_is_reported(
    make: Callable[[Log], Coroutine[Any, Any, None]], sentence: str, bare: Log
) -> None:
    await make(bare)
    with pytest.raises(CannotStart, match=f"{sentence}, but the log needs a plain collection"):
        await prepare(bare)


async def test_an_ingester_that_begins_to_write_creates_missing_indexes(bare: Log) -> None:
    for _ in range(2):
        async with writing(bare, FOREVER, "ann", 60) as writer:
            assert writer is not None
            assert (await bare.events.index_information())["messageId_1"]["unique"]
            assert (await bare.events.index_information())["expireAt_present"]["expireAfterSeconds"] == 0
        await bare.mongo.client.drop_database(bare.mongo.database.name)


LOST: dict[str, tuple[tuple[str, ...], str]] = {
    "meta": (("meta",), "collection events is not empty, but the collection meta says that nothing was stored yet"),
    "events": (("events",), "collection events ends at position 0, but the checkpoint in meta stands at 3"),
    "all but meta": (
        ("events", "aggregates", "rollups", "populations", "rejected"),
        "collection events ends at position 0",
    ),
    "aggregates": (("aggregates",), "collection aggregates lacks version 2 of user ada"),
    "all but aggregates": (
        ("events", "rollups", "populations", "rejected", "meta"),
        "collection aggregates is not empty, but",
    ),
}


@pytest.mark.parametrize(("names", "sentence"), LOST.values(), ids=LOST)
async def test_nothing_is_written_while_collections_are_missing_and_writing_continues_when_they_are_restored(
    names: tuple[str, ...], sentence: str, bare: Log
) -> None:
    await prepare(bare)
    appender = await Appender.of(bare)
    await appender.store(event(of=ADA), event("x"), rejected_message(b"x"), event(of=ADA))
    await lease.release(bare, "first")
    kept = {name: await bare.mongo.collection(name).find({}).to_list(None) for name in names}
    for name in names:
        await bare.mongo.collection(name).drop()
    before = await everything(bare)
    for _ in range(2):
        with pytest.raises(Blocked, match=sentence):
            async with writing(bare, FOREVER, "ann", 60):
                pass
    after = await everything(bare)
    heads = [[row["head"] for row in state.pop("meta")] for state in (before, after)]
    assert heads[0] == heads[1]
    assert before == after
    for name, rows in kept.items():
        await bare.mongo.collection(name).insert_many(rows)
    async with writing(bare, FOREVER, "ann", 60) as writer:
        assert writer is not None
        assert writer.at.head == 3


async def test_documents_beyond_the_checkpoint_are_reported(bare: Log) -> None:
    await prepare(bare)
    await (await Appender.of(bare)).store(event(of=ADA))
    await bare.events.insert_one({"_id": 9})
    with pytest.raises(Blocked, match="collection events reaches to 9, but the checkpoint in meta stands at 1"):
        async with writing(bare, FOREVER, "first", 60):
            pass
    await bare.events.delete_one({"_id": 9})
    await bare.events.insert_one({"name": "Ada"})
    with pytest.raises(Blocked, match="of the collection events is not Eventscope's: remove it"):
        async with writing(bare, FOREVER, "first", 60):
            pass


async def test_expired_events_do_not_count_as_lost(bare: Log, clock: Clock) -> None:
    await prepare(bare)
    appender = await Appender.of(bare)
    appender.retention = Retention({"*": 1})
    await appender.store(event(of=ADA), event("x"))
    await lease.release(bare, "first")
    clock.now += 26 * HOUR
    await bare.events.delete_many({})  # as MongoDB does
    for _ in range(2):
        async with writing(bare, FOREVER, "ann", 60) as writer:
            assert writer is not None
            assert writer.at.head == 2
        await expiry.tidy(bare)


async def test_a_replaced_collection_ends_the_turn_of_the_writer(bare: Log) -> None:
    with pytest.raises(Unavailable, match="the collection rejected was dropped or replaced just now"):
        async with writing(bare, FOREVER, "ann", 60) as writer:
            assert writer is not None
            await writer.renew()
            await bare.rejected.drop()
            await bare.rejected.insert_one({"_id": 0})
            await writer.renew()
