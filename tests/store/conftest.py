"""The store's tests run on both drivers; each has an empty log and a clock that it sets itself."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from pymongo import MongoClient

from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Driver
from tests.store.support.appender import Appender, Clock
from tests.store.support.random_log import RandomLog, random_log

DRIVERS = ("motor", "pymongo")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    return cast("Driver", request.param)


@pytest.fixture(scope="session")
def emptied_database(mongo_url: str) -> Iterator[str]:
    """One database for all tests in turn: creating and dropping one takes MongoDB ten times as long as emptying it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture
async def log(mongo_url: str, emptied_database: str, driver: Driver, clock: Clock) -> AsyncIterator[Log]:
    """The log of this test, with its indexes."""
    async with open_log(mongo_url, emptied_database, driver, clock=clock) as log:
        await prepare(log)
        for name in await log.mongo.database.list_collection_names():
            await log.mongo.collection(name).delete_many({})
        yield log


@pytest.fixture
async def appender(log: Log) -> Appender:
    """The ingester of this test's log, as far as the store knows it."""
    return await Appender.of(log)


@pytest.fixture(scope="session", params=DRIVERS)
def corpus(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[RandomLog]:
    """A log of random events for property tests, stored once."""
    with random_log(mongo_url, f"test_{uuid.uuid4().hex[:12]}", request.param) as corpus:
        yield corpus
