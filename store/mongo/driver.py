"""The one place that knows which MongoDB driver is at work: motor, or pymongo's own async client.

The two have nearly the same calls; what differs is evened out here, so the rest of the store is written once,
against pymongo's types. What the driver raises becomes ours in `errors`.
"""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

import orjson
import pymongo
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import _csot, asynchronous, synchronous
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI

from eventscope.errors import CannotStart
from eventscope.redact import explanation
from eventscope.store.mongo import raw
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.threads import THREADS
from eventscope.store.mongo.write import Write
from eventscope.store.pace import Pace

Document: TypeAlias = dict[str, Any]
Collection: TypeAlias = AsyncCollection[Document]
Session: TypeAlias = AsyncClientSession
Driver = Literal["motor", "pymongo"]

STEP: Final = 1_000  # small documents that are made in one go

# writes that are answered survive the loss of the primary; reads never show what could still be rolled back (I1)
OPTIONS: Mapping[str, Any] = {
    "w": "majority",
    "journal": True,
    "wTimeoutMS": 10_000,
    "readConcernLevel": "majority",
    "serverSelectionTimeoutMS": 3_000,
    "appname": "eventscope",
}

logger = logging.getLogger(__name__)


def _selection_seconds(topology: Any) -> float:
    """How long to look for a server: as OPTIONS say, and no longer than the question has left.

    So says MongoDB's specification of timeouts; but within `pymongo.timeout` pymongo looks until the question has no
    time left, and who asks a MongoDB that is dead would hear of it only then.
    """
    return _csot.clamp_remaining(topology._settings.server_selection_timeout)


for module in (asynchronous.topology, synchronous.topology):
    module.Topology.get_server_selection_timeout = _selection_seconds


@dataclass(frozen=True, slots=True)
class Mongo:
    """One database, by one of the two drivers."""

    driver: Driver
    client: pymongo.AsyncMongoClient[Document] = field(repr=False)  # it would show options that are secret
    database: AsyncDatabase[Document] = field(repr=False)
    collections: dict[str, Collection] = field(default_factory=dict, compare=False, repr=False)

    def collection(self, name: str) -> Collection:
        """The collection of that name; making one takes as long as asking it for an event."""
        found = self.collections.get(name)
        if found is None:
            found = self.collections[name] = self.database[name]
        return found

    async def aggregate(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Document]:
        """All that the pipeline gives."""
        call = collection.aggregate(pipeline, **options)
        # motor hands out the cursor, pymongo a coroutine that does
        cursor = await call if self.driver == "pymongo" else cast("Any", call)
        return cast("list[Document]", await cursor.to_list(None))

    async def bounded(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], most: int, budget: ReadBudget
    ) -> list[Document] | None:
        """All that the pipeline gives, in small documents; None if as text it has more bytes than that.

        TooComplex if the budget has fewer.
        """
        call = collection.aggregate(pipeline, batchSize=STEP)
        cursor = await call if self.driver == "pymongo" else cast("Any", call)
        found: list[Document] = []
        size, pace = 0, Pace()
        while part := await cursor.to_list(STEP):
            more = len(orjson.dumps(part, default=str))
            size += more
            if size > most:
                await cursor.close()
                return None
            budget.spend(more)
            await budget.enter()
            found += part
            await pace.pause()
        return found

    async def bounded_large(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], most: int, budget: ReadBudget
    ) -> list[Document] | None:
        """The same for documents that may be large, by their bytes as MongoDB has them.

        It takes one more way there and back: the driver fetches nothing with the first command.
        """
        await budget.begin()
        try:
            while True:
                call = collection.aggregate_raw_batches(pipeline)
                cursor: Any = await call if self.driver == "pymongo" else call
                found, size = list[Document](), 0
                async for part in cursor:
                    if budget.must_wait(len(part)):
                        break
                    size += len(part)
                    if size > most:
                        await cursor.close()
                        return None
                    found += await raw.documents(part, budget, collection.codec_options)
                else:
                    return found
                await cursor.close()
                budget.restore(size)
                more = len(part)
                del found, part
                await budget.enter(size + more)
        finally:
            budget.end()

    @asynccontextmanager
    async def session(self, *, snapshot: bool = False) -> AsyncIterator[Session]:
        """A session of the server's, for one transaction after the other, or for reads of one `snapshot`.

        What a snapshot shows is all of one moment; it can be read for a few minutes.
        """
        if self.driver == "pymongo":
            async with self.client.start_session(snapshot=snapshot) as session:
                yield session
        else:
            async with await cast("Any", self.client).start_session(snapshot=snapshot) as session:
                yield session

    @asynccontextmanager
    async def transaction(self, session: Session) -> AsyncIterator[None]:
        """All writes made with the session take effect together at the end of the block, or none does."""
        started = session.start_transaction()
        # motor hands out the context, pymongo a coroutine that does
        async with await started if self.driver == "pymongo" else cast("Any", started):
            yield

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        """Have all of the writes take effect together, or none of them. What a `verify` raises ends it.

        Raises WriteRefused when MongoDB refuses one of them.
        """
        if self.driver == "pymongo":
            async with self.transaction(session):
                for write in writes:
                    with write.blamed():
                        result = await write.send(write.collection, session)
                    write.verify(result)
            return
        blocking = cast("Any", session).delegate

        def transact() -> None:
            with blocking.start_transaction():
                for write in writes:
                    with write.blamed():
                        result = write.send(cast("Any", write.collection).delegate, blocking)
                    write.verify(result)

        # motor would hand each call to a thread and wait for it there and back, which takes as long again as MongoDB
        await _finished(asyncio.to_thread(transact))

    async def end_session(self, id: Mapping[str, Any]) -> None:
        """End a session that somebody left open: MongoDB keeps the locks of its transaction for a minute."""
        await self.client.admin.command({"killSessions": [id]})

    async def close(self) -> None:
        """Let go of all connections."""
        closing = self.client.close()
        if self.driver == "pymongo":
            await closing


@asynccontextmanager
async def connect(url: str, database: str, driver: Driver) -> AsyncIterator[Mongo]:
    """A connection for the length of the block; CannotStart when the address cannot be read.

    No server is asked yet: the first call does that.
    """
    try:
        # pymongo warns of options that it does not know, and may repeat what they say
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            client: Any = (
                pymongo.AsyncMongoClient(url, **OPTIONS) if driver == "pymongo" else AsyncIOMotorClient(url, **OPTIONS)
            )
    except OSError as error:
        raise CannotStart(f"EVENTSCOPE_MONGO_URL names a file that cannot be read: {error.strerror or error}") from None
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise CannotStart(f"EVENTSCOPE_MONGO_URL cannot be used: {explanation(error, url)}") from None
    for doubt in doubts:
        logger.warning("EVENTSCOPE_MONGO_URL: %s", explanation(Warning(str(doubt.message)), url))
    mongo = Mongo(driver, client, client[database])
    try:
        yield mongo
    finally:
        await mongo.close()


async def command_on(collection: Collection, command: Document, codec: CodecOptions[Any]) -> Any:
    """What MongoDB answers to the command on the collection's database."""
    database = collection.database
    options: dict[str, Any] = {"codec_options": codec, "read_preference": collection.read_preference}
    # the driver adds to what it is given
    if isinstance(collection, AsyncCollection):
        return await database.command({**command}, **options)
    blocking = cast("Any", database).delegate
    return await THREADS.run(lambda: blocking.command({**command}, **options))


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait until it is done, however often this is cancelled: nobody may touch its session before."""
    task = asyncio.create_task(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    error = task.exception()
    if cancelled:
        raise asyncio.CancelledError
    if error is not None:
        raise error
