"""The event log: its collections, indexes and clock, as one value that every read and write takes."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pymongo import IndexModel
from pymongo.errors import ExecutionTimeout, OperationFailure

from eventscope.errors import CannotStart
from eventscope.store.identity import LogIdentity
from eventscope.store.mongo import indexes
from eventscope.store.mongo.budget import UNBOUNDED, ReadBudget
from eventscope.store.mongo.clock import MongoClock, keep_set, set_clock
from eventscope.store.mongo.driver import Collection, Driver, Mongo, connect
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.mongo.failure import reason, refuses
from eventscope.store.recent_events import RecentEvents
from eventscope.store.search_limits import SearchLimits
from eventscope.store.single_flight import SingleFlight
from eventscope.store.values import moment

ASCENDING: Final = 1
PATH: Final = "path_"  # the prefix of indexes that settings ask for
# indexes of older versions, which others replace
OBSOLETE: Final = frozenset(
    {
        "aggregateId_1__id_1_aggregateType_1",
        "userId_1__id_1",
        "correlationId_1__id_1",
        "causationId_1__id_1",
        "expireAt_1",
    }
)
INDEX_NOT_FOUND: Final = 27
DROP_MS: Final = 2_000

logger = logging.getLogger(__name__)


def _index(*keys: str, present: str | None = None, unique: bool = False) -> IndexModel:
    more = {"partialFilterExpression": {present: {"$exists": True}}} if present else {}
    return IndexModel([(key, ASCENDING) for key in keys], unique=unique, **more)


def _path_index(name: str, path: str) -> IndexModel:
    # most paths exist in few events
    present = {path: {"$exists": True}}
    return IndexModel([(path, ASCENDING), ("_id", ASCENDING)], name=name, partialFilterExpression=present)


# by the names in events, with the types at the end, so that events of other types are not fetched
NAME_INDEXES: Final[Mapping[str, list[tuple[str, int]]]] = {
    "aggregateId": [("aggregateId", 1), ("_id", 1), ("aggregateType", 1), ("type", 1)],
    "userId": [("userId", 1), ("_id", 1), ("type", 1), ("aggregateType", 1)],
    "correlationId": [("correlationId", 1), ("_id", 1), ("type", 1), ("aggregateType", 1)],
    "causationId": [("causationId", 1), ("_id", 1), ("type", 1), ("aggregateType", 1)],
}
INDEXES: Final[Mapping[str, list[IndexModel]]] = {
    "events": [
        _index("messageId", unique=True),
        _index("aggregateType", "aggregateId", "version", present="version", unique=True),
        _index("type", "_id"),
        _index("aggregateType", "_id", present="aggregateType"),
        *(_index(*(key for key, _ in keys), present=field) for field, keys in NAME_INDEXES.items()),
        # without the events that never expire: an entry for each of them would only cost time and space
        IndexModel(
            [("expireAt", ASCENDING)],
            name="expireAt_present",
            expireAfterSeconds=0,
            partialFilterExpression={"expireAt": {"$exists": True}},
        ),
    ],
    "aggregates": [
        _index("last.position"),
        _index("_id.type", "last.position"),
        _index("first.position"),
        _index("_id.type", "first.position"),
        _index("_id.id", "_id.type"),
    ],
    "rollups": [
        _index("_id.hour"),
        _index("_id.type"),
        _index("_id.expireAt"),
        _index("_id.expiryDay"),
        _index("_id.minute", present="_id.minute"),
    ],
    "populations": [_index("_id.expireAt")],
    "rejected": [
        _index("code", "_id"),
        _index("messageId", "fingerprint"),
        IndexModel([("expireAt", ASCENDING)], expireAfterSeconds=0),
    ],
}


@dataclass(frozen=True, slots=True)
class Log:
    """One event log, from `open_log`. The functions of the store take it as their first argument."""

    mongo: Mongo
    clock: moment.Clock
    question_seconds: float
    indexed_paths: tuple[str, ...] = ()
    recent: RecentEvents | None = None
    """The newest events in memory, if this process keeps them."""
    head_reads: SingleFlight[int] = field(default_factory=SingleFlight)
    """Lets concurrent requests share a read of the head."""
    identity: LogIdentity = field(default_factory=LogIdentity)
    """Which log it is."""
    budget: ReadBudget = UNBOUNDED
    """The limit on what one operation reads."""
    search: SearchLimits = field(default_factory=SearchLimits)
    """The limits on how far one read searches."""

    def within(self, budget: ReadBudget) -> "Log":
        """The same log, for one operation with this budget."""
        # `dataclasses.replace` takes three times as long, and this runs for each operation
        return Log(
            self.mongo,
            self.clock,
            self.question_seconds,
            self.indexed_paths,
            self.recent,
            self.head_reads,
            self.identity,
            budget,
            self.search,
        )

    @property
    def clock_is_set(self) -> bool:
        """Whether the clock knows the time yet."""
        return not isinstance(self.clock, MongoClock) or self.clock.is_set

    @property
    def clock_ahead(self) -> float:
        """Seconds by which MongoDB's clock is ahead of this machine's; 0 if the log uses another clock."""
        return self.clock.ahead if isinstance(self.clock, MongoClock) else 0.0

    @property
    def events(self) -> Collection:
        """Documents of the shape `documents.EventDocument`."""
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
        """How far events have expired: for each type the last position whose event was deleted."""
        return self.mongo.collection("expirations")

    @property
    def catalogue(self) -> Collection:
        """Counts of the fields in the data of events, by type."""
        return self.mongo.collection("catalogue")

    @property
    def meta(self) -> Collection:
        """The state of the log: its checkpoint and that of the catalogue, incidents, dropped messages, the key."""
        return self.mongo.collection("meta")


@asynccontextmanager
async def open_log(
    url: str,
    database: str,
    driver: Driver = "motor",
    *,
    clock: moment.Clock | None = None,
    question_seconds: float = 10.0,
    indexed_paths: Sequence[str] = (),
    recent: RecentEvents | None = None,
) -> AsyncIterator[Log]:
    """The log at that URL for the length of the block. This does not contact the server.

    Its clock is MongoDB's, which must be set once (`synchronise`, `prepare`) before anything can be read; tests may
    pass another one. `indexed_paths` are paths into `data` and `metadata` that have an index. A caller that passes
    `recent` must keep it up to date.
    """
    async with connect(url, database, driver) as mongo:
        clock = MongoClock() if clock is None else clock
        async with keep_set(mongo, clock):
            yield Log(mongo, clock, question_seconds, tuple(indexed_paths), recent)


async def synchronise(log: Log) -> None:
    """Set the log's clock by MongoDB's; Unavailable or QuestionTimedOut when it does not answer."""
    if isinstance(log.clock, MongoClock):
        await set_clock(log.mongo, log.clock)


async def prepare(log: Log) -> None:
    """Create missing collections and indexes, and drop indexes of paths that are no longer in the settings.

    CannotStart when MongoDB is not a replica set, or something foreign is in the way: the message says what to do.
    """
    await synchronise(log)
    with translate_errors():
        if "setName" not in await log.mongo.database.command("hello"):
            raise CannotStart("MongoDB is not a replica set, and transactions need one (one member is enough)")
        try:
            await _prepare(log)
        except OperationFailure as error:
            if not refuses(error):
                raise
            raise CannotStart(f"MongoDB refuses to create what the log needs: {reason(error)}") from error


async def _prepare(log: Log) -> None:
    await collections(log)
    for name, models in INDEXES.items():
        await indexes.make(log.mongo.collection(name), models)
    paths = {f"{PATH}{path}": path for path in log.indexed_paths}
    for name in await log.events.index_information():
        if name in OBSOLETE or (name.startswith(PATH) and name not in paths):
            await _drop(log, name)
    if paths:
        await indexes.make(log.events, [_path_index(name, path) for name, path in paths.items()])


async def collections(log: Log) -> dict[str, object]:
    """The unique id of each collection of the log; a collection that is dropped and created again has a new one.

    CannotStart when one of them cannot hold a log, a view for example.
    """
    with translate_errors(log.question_seconds):
        return await indexes.identities(log.mongo, (*INDEXES, "meta"))


async def _drop(log: Log, index: str) -> None:
    try:
        # while it waits for a reader that holds the collection, all writes wait after it
        await log.events.drop_index(index, maxTimeMS=DROP_MS)
    except ExecutionTimeout:
        logger.warning("the index %s is not needed, but cannot be dropped now: the next start tries again", index)
    except OperationFailure as error:
        if error.code != INDEX_NOT_FOUND:  # another process has just dropped it
            raise


async def server_version(log: Log) -> str:
    """The version of the MongoDB server."""
    with translate_errors(log.question_seconds):
        return str((await log.mongo.database.command("buildInfo"))["version"])
