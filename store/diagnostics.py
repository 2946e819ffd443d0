"""Facts about the MongoDB server that the log depends on, for its operators."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import OperationFailure

from eventscope.store.log import INDEXES, Log
from eventscope.store.mongo.driver import Document, Mongo
from eventscope.store.mongo.errors import translate_errors
from eventscope.store.values import moment

NOT_ON_A_VIEW: Final = 166
HISTORY: Final = "minSnapshotHistoryWindowInSeconds"
WELL: Final = ("PRIMARY", "SECONDARY", "ARBITER")


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """The properties of an index that matter here. `expire_after` is in seconds; None if nothing expires by it."""

    collection: str
    keys: tuple[str, ...]
    unique: bool
    partial: tuple[str, ...]
    expire_after: float | None

    @property
    def name(self) -> str:
        """Its collection and keys, for people."""
        return f"{self.collection}({', '.join(self.keys)})"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says about itself; None where the user lacks the right to ask.

    `members` are those that hold data. `ahead` is its clock minus ours in seconds, with an error of at most `doubt`.
    """

    version: str
    replica_set: str | None
    members: tuple[str, ...]
    unhealthy: tuple[str, ...] | None
    write_concern: Mapping[str, Any]
    read_concern: str | None
    ahead: float
    doubt: float
    disk_total: int | None
    disk_used: int | None
    indexes: frozenset[IndexFacts]
    expires: bool | None
    history_seconds: float | None
    """For how long MongoDB keeps the history of documents for snapshots of the past."""


async def server_facts(log: Log) -> ServerFacts:
    """Facts from the server; Unavailable or QuestionTimedOut when it does not answer."""
    mongo = log.mongo
    with translate_errors(log.question_seconds):
        version = str((await mongo.database.command("buildInfo"))["version"])
        before = moment.now()
        hello = await mongo.database.command("hello")
        after = moment.now()
        size = await mongo.database.command("dbStats")
        expires = await _answer(mongo, {"getParameter": 1, "ttlMonitorEnabled": 1})
        history = await _answer(mongo, {"getParameter": 1, HISTORY: 1})
        status = await _answer(mongo, {"replSetGetStatus": 1})
        indexes = frozenset([one for name in INDEXES for one in await _present(log, name)])
    # MongoDB's time is in whole milliseconds: on average half a millisecond more has passed
    server_time = moment.of(hello["localTime"].replace(tzinfo=moment.EPOCH.tzinfo)) + 500
    return ServerFacts(
        version=version,
        replica_set=hello.get("setName"),
        members=(*hello.get("hosts", ()), *hello.get("passives", ())),
        unhealthy=None if status is None else tuple(m["name"] for m in status["members"] if not _is_well(m)),
        write_concern=mongo.database.write_concern.document,
        read_concern=mongo.database.read_concern.level,
        ahead=(server_time - (before + after) / 2) / 1_000_000,
        doubt=(after - before) / 2_000_000 + 0.0005,
        disk_total=_whole(size.get("fsTotalSize")),
        disk_used=_whole(size.get("fsUsedSize")),
        indexes=indexes,
        expires=None if expires is None else bool(expires["ttlMonitorEnabled"]),
        history_seconds=None if history is None else history[HISTORY],
    )


def own_indexes() -> list[IndexFacts]:
    """The indexes that the log creates at its start, and needs."""
    return [_index(name, model.document) for name, models in INDEXES.items() for model in models]


async def _present(log: Log, collection: str) -> list[IndexFacts]:
    try:
        descriptions = await log.mongo.collection(collection).index_information()
    except OperationFailure as error:
        if error.code != NOT_ON_A_VIEW:
            raise
        return []  # every index is missing there
    return [_index(collection, description) for description in descriptions.values()]


def _index(collection: str, description: Mapping[str, Any]) -> IndexFacts:
    keys: Any = description["key"]
    return IndexFacts(
        collection,
        tuple(name for name, _ in (keys.items() if isinstance(keys, Mapping) else keys)),
        bool(description.get("unique")),
        tuple(description.get("partialFilterExpression") or ()),
        description.get("expireAfterSeconds"),
    )


async def _answer(mongo: Mongo, command: Document) -> Document | None:
    try:
        return await mongo.client.admin.command(command)
    except OperationFailure:  # the user may lack the right to ask
        return None


def _is_well(member: Document) -> bool:
    return bool(member["health"]) and member["stateStr"] in WELL


def _whole(size: float | None) -> int | None:
    return None if size is None else int(size)
