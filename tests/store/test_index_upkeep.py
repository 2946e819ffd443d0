"""Preparing a log creates the indexes that are missing and drops those that were replaced; none changes an answer."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, All, Among, Holds, TypePatterns, matcher
from eventscope.store.filters.inspection import Inspection
from eventscope.store.filters.paths import Equals, Path
from eventscope.store.log import PATH, Log, prepare
from eventscope.store.write.retention import Retention
from tests.store.support.appender import Appender, event

DAY_SECONDS = 86_400.0


async def test_mongodb_deletes_events_in_the_hour_in_which_they_expire(log: Log) -> None:
    indexes = await (await _list(log)).to_list(None)
    [ttl] = [index for index in indexes if "expireAfterSeconds" in index]
    assert (dict(ttl["key"]), ttl["expireAfterSeconds"]) == ({"expireAt": 1}, 0)


async def test_events_that_never_expire_take_no_place_in_the_index_by_which_others_do(
    log: Log, appender: Appender
) -> None:
    await appender.store(*(event(f"a.{n}") for n in range(3)))
    appender.retention = Retention({"b.*": DAY_SECONDS})
    await appender.store(event("b.1"))

    explanation = await log.mongo.database.command(
        {"explain": {"find": "events", "filter": {"expireAt": {"$exists": True}}, "hint": "expireAt_present"}}
    )
    assert explanation["executionStats"]["totalKeysExamined"] == 1


async def _list(log: Log) -> Any:
    listed: Any = log.events.list_indexes()
    # motor returns the cursor, pymongo a coroutine that does
    return await listed if log.mongo.driver == "pymongo" else listed


async def test_preparing_twice_changes_nothing(log: Log) -> None:
    before = await log.events.index_information()
    await prepare(log)
    assert await log.events.index_information() == before


async def _path_indexes(log: Log) -> set[str]:
    return {name for name in await log.events.index_information() if name.startswith(PATH)}


async def test_paths_in_the_settings_get_indexes_and_others_lose_them(log: Log) -> None:
    own = set(await log.events.index_information())
    await prepare(replace(log, indexed_paths=("data.email", "metadata.tenant")))
    assert await _path_indexes(log) == {"path_data.email", "path_metadata.tenant"}
    await prepare(replace(log, indexed_paths=("data.email", "data.order.id")))
    await prepare(replace(log, indexed_paths=("data.email", "data.order.id")))
    assert await _path_indexes(log) == {"path_data.email", "path_data.order.id"}
    await log.events.create_index("data.mine", name="somebody's own")
    await prepare(log)
    assert set(await log.events.index_information()) == own | {"somebody's own"}
    await log.events.drop_index("somebody's own")


async def test_replaced_indexes_are_dropped(log: Log) -> None:
    await log.events.create_index([("userId", 1), ("_id", 1)])
    await log.events.create_index("expireAt", expireAfterSeconds=0)
    await prepare(log)
    assert not {"userId_1__id_1", "expireAt_1"} & set(await log.events.index_information())


async def test_an_index_that_cannot_be_dropped_soon_is_kept_until_the_next_start(log: Log) -> None:
    await log.events.create_index("expireAt", expireAfterSeconds=0)
    async with log.mongo.session() as session:
        with suppress(InterruptedError):
            async with log.mongo.transaction(session):
                await log.events.find_one({}, session=session)  # holds the collection until the transaction ends
                async with asyncio.timeout(60):
                    await prepare(log)
                raise InterruptedError
    assert "expireAt_1" in await log.events.index_information()

    await prepare(log)
    assert "expireAt_1" not in await log.events.index_information()


async def test_two_processes_may_prepare_a_log_at_once(log: Log) -> None:
    paths = tuple(f"data.x{n}" for n in range(4))
    for _ in range(3):
        await asyncio.gather(*(prepare(replace(log, indexed_paths=paths)) for _ in range(3)))
        await asyncio.gather(*(prepare(log) for _ in range(3)))
        assert await _path_indexes(log) == set()


async def test_a_condition_on_an_indexed_path_has_the_same_result_as_on_any_other(log: Log, appender: Appender) -> None:
    """An index of a path omits no event and refuses none, whatever value is at the path."""
    values: list[Any] = [1, 1.0, "1", True, None, [], [1], [[1]], {"a": 1}, [{"a": 1}, {"a": [2]}], {"": {"$a": 1}}]
    there = replace(log, indexed_paths=("data", "data.a", "data.a.a"))
    await prepare(there)
    for value in values:
        await appender.store(event(data=value), event(data={"a": value}), event(data=[{"a": {"a": value}}, value]))
    try:
        for keys in ((), ("a",), ("a", "a")):
            for value in (1, "1", True, 2):
                condition = Holds(Path("data", keys), (Equals((value,)),))
                stored = await pages.events(there, EVERYTHING, limit=1000)
                lively = matcher(condition)
                assert await pages.events(there, condition, limit=1000) == [e for e in stored if lively(Inspection(e))]
    finally:
        await prepare(log)


async def test_queries_work_without_an_index_that_is_yet_to_be_created(log: Log, appender: Appender) -> None:
    await appender.store(*(event(f"a.{n % 3}", userId="ann") for n in range(9)))
    await log.events.drop_index("userId_1__id_1_type_1_aggregateType_1")
    try:
        found = await pages.events(log, All((Among("userId", ("ann",)), TypePatterns(("a.1",)))), limit=10)
        assert [e["_id"] for e in found] == [2, 5, 8]
    finally:
        await prepare(log)
