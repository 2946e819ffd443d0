"""The event log: its collections, its indexes and its clock, as one value that every read and write is given."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pymongo import IndexModel

from eventscope.errors import CannotStart
from eventscope.store import moment
from eventscope.store.driver import Collection, Driver, Mongo, connect, translated

ASCENDING: Final = 1


def _index(*keys: str, present: str | None = None, unique: bool = False) -> IndexModel:
    more = {"partialFilterExpression": {present: {"$exists": True}}} if present else {}
    return IndexModel([(key, ASCENDING) for key in keys], unique=unique, **more)


INDEXES: Final[Mapping[str, list[IndexModel]]] = {
    "events": [
        _index("messageId", unique=True),
        _index("aggregateType", "aggregateId", "version", present="version", unique=True),
        _index("type", "_id"),
        _index("aggregateType", "_id", present="aggregateType"),
        # with the type at its end, so that of other aggregates with the same id no event is fetched
        _index("aggregateId", "_id", "aggregateType", present="aggregateId"),
        _index("userId", "_id", present="userId"),
        _index("correlationId", "_id", present="correlationId"),
        _index("causationId", "_id", present="causationId"),
        IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0),
    ],
    "aggregates": [
        _index("last.position"),
        _index("_id.type", "last.position"),
        _index("first.position"),
        _index("_id.type", "first.position"),
        _index("_id.id", "_id.type"),
    ],
    "rollups": [_index("_id.hour"), _index("_id.type"), _index("_id.expireAt")],
    "populations": [_index("_id.expireAt")],
    "rejected": [_index("code", "_id"), _index("messageId")],
}


@dataclass(frozen=True, slots=True)
class Log:
    """One event log. Open it with `open_log`; the functions of the store take it as their first argument."""

    mongo: Mongo
    clock: moment.Clock
    question_seconds: float

    @property
    def events(self) -> Collection:
        """Documents of the shape `documents.Event`."""
        return self.mongo.collection("events")

    @property
    def aggregates(self) -> Collection:
        """Documents of the shape `documents.Head`."""
        return self.mongo.collection("aggregates")

    @property
    def rollups(self) -> Collection:
        """Counts of events by hour, type, aggregate type and hour of expiry."""
        return self.mongo.collection("rollups")

    @property
    def populations(self) -> Collection:
        """Counts of aggregates by type and the hour in which their last event expires."""
        return self.mongo.collection("populations")

    @property
    def rejected(self) -> Collection:
        """Documents of the shape `documents.Rejection`."""
        return self.mongo.collection("rejected")

    @property
    def expirations(self) -> Collection:
        """What is known of events that are gone: by type, the last position that expired."""
        return self.mongo.collection("expirations")

    @property
    def meta(self) -> Collection:
        """The checkpoint."""
        return self.mongo.collection("meta")


@asynccontextmanager
async def open_log(
    url: str,
    database: str,
    driver: Driver = "motor",
    *,
    clock: moment.Clock = moment.now,
    question_seconds: float = 10.0,
) -> AsyncIterator[Log]:
    """The log at that address for the length of the block. Nothing is asked of the server yet."""
    async with connect(url, database, driver) as mongo:
        yield Log(mongo, clock, question_seconds)


async def prepare(log: Log) -> None:
    """Make collections and indexes where they are missing; CannotStart when MongoDB is no replica set."""
    with translated():
        if "setName" not in await log.mongo.database.command("hello"):
            raise CannotStart("MongoDB is no replica set, and transactions need one (one member is enough)")
        for name, indexes in INDEXES.items():
            await log.mongo.collection(name).create_indexes(indexes)


async def ping(log: Log) -> None:
    """Return when MongoDB answers; Unavailable when it does not."""
    with translated(seconds=2.0):
        await log.mongo.database.command("ping")


async def server_version(log: Log) -> str:
    """The version of the MongoDB server."""
    with translated(log.question_seconds):
        return str((await log.mongo.database.command("buildInfo"))["version"])
