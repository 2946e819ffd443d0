"""A log whose commands to MongoDB are recorded, as the driver reports them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from eventscope.store.log import Log
from eventscope.store.mongo.driver import OPTIONS, Driver, Mongo
from eventscope.store.values.moment import Clock

NOTHING_BY_ITSELF = {"lsid", "$db", "$clusterTime", "$readPreference", "readConcern", "maxTimeMS", "txnNumber"}


class Commands(CommandListener):
    """Records the reads among the commands, and calls `after` with each command that was answered."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.after: Callable[[dict[str, Any]], None] | None = None
        self._sent: dict[int, dict[str, Any]] = {}

    def started(self, event: CommandStartedEvent) -> None:
        command = self._sent[event.request_id] = dict(event.command)
        if event.command_name in {"find", "aggregate", "distinct", "count"}:
            self.heard.append({name: value for name, value in command.items() if name not in NOTHING_BY_ITSELF})

    def succeeded(self, event: CommandSucceededEvent) -> None:
        command = self._sent.pop(event.request_id, None)
        if command is not None and self.after is not None:
            self.after(command)

    def failed(self, event: CommandFailedEvent) -> None:
        self._sent.pop(event.request_id, None)


@asynccontextmanager
async def log_with_listener(
    url: str, database: str, driver: Driver, clock: Clock, ear: Commands, indexed_paths: Sequence[str] = ()
) -> AsyncIterator[Log]:
    """The log at that address, with its commands reported to `ear`."""
    kind: Any = pymongo.AsyncMongoClient if driver == "pymongo" else AsyncIOMotorClient
    client = kind(url, event_listeners=[ear], **OPTIONS)
    mongo = Mongo(driver, client, client[database])
    try:
        yield Log(mongo, clock, 10.0, tuple(indexed_paths))
    finally:
        await mongo.close()
