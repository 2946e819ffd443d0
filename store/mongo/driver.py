"""The one place that knows which MongoDB driver is in use: motor, or pymongo's own async client.

The two have nearly the same calls. This module hides the differences, so the rest of the store is written once, against
pymongo's types. `errors` translates what the driver raises.
"""

import asyncio
import contextvars
import logging
import warnings
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast

import orjson
import pymongo
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import _csot, asynchronous, synchronous
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError
from pymongo.read_concern import ReadConcern

from eventscope.errors import CannotStart
from eventscope.internals import Internals
from eventscope.redact import explanation
from eventscope.store.mongo import cursors, raw
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.threads import THREADS
from eventscope.store.mongo.write import Write
from eventscope.store.pace import Pace

Document: TypeAlias = dict[str, Any]
Collection: TypeAlias = AsyncCollection[Document]
Session: TypeAlias = AsyncClientSession
Driver = Literal["motor", "pymongo"]

SCHEMES: Final = ("mongodb://", "mongodb+srv://")
CLOSE_SECONDS: Final = 2.0  # for the farewell to MongoDB, which ends our sessions there
STEP: Final = 1_000  # small documents that are decoded in one go

# acknowledged writes survive the loss of the primary; reads never show what could still be rolled back (I1)
OPTIONS: Mapping[str, Any] = {
    "w": "majority",
    "journal": True,
    "wTimeoutMS": 10_000,
    "readConcernLevel": "majority",
    "serverSelectionTimeoutMS": 3_000,
    "appname": "eventscope",
}

logger = logging.getLogger(__name__)


INTERNALS: Final = Internals(
    "pymongo",
    {
        asynchronous.topology.Topology: {"get_server_selection_timeout": ""},
        synchronous.topology.Topology: {"get_server_selection_timeout": ""},
        _csot: {"clamp_remaining": "max_timeout"},
    },
    {asynchronous.topology.Topology: "_settings", synchronous.topology.Topology: "_settings"},
)


def _selection_seconds(self: Any) -> float:
    """How long to look for a server: as OPTIONS say, and no longer than the operation has left.

    MongoDB's specification of timeouts wants the shorter of the two. Within `pymongo.timeout`, pymongo takes all the
    time that the operation has left, so a caller would learn only at the very end that MongoDB is down.
    """
    return _csot.clamp_remaining(self._settings.server_selection_timeout)


@cache
def _patch() -> None:
    """Patch pymongo, once; CannotStart if its internals are not as we know them and the patch would do nothing."""
    INTERNALS.demand()
    raw.INTERNALS.demand()
    for module in (asynchronous.topology, synchronous.topology):
        module.Topology.get_server_selection_timeout = _selection_seconds


@dataclass(frozen=True, slots=True)
class Mongo:
    """One database, reached through one of the two drivers."""

    driver: Driver
    client: pymongo.AsyncMongoClient[Document] = field(repr=False)  # its repr shows secret options
    database: AsyncDatabase[Document] = field(repr=False)
    collections: dict[str, Collection] = field(default_factory=dict, compare=False, repr=False)

    def collection(self, name: str) -> Collection:
        """The collection of that name, cached: making the object takes as long as reading an event."""
        collection = self.collections.get(name)
        if collection is None:
            collection = self.collections[name] = self.database[name]
        return collection

    async def aggregate(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Document]:
        """All documents that the pipeline returns."""
        return await cursors.fetch_all(await cursors.aggregate(collection, pipeline, **options))

    async def aggregate_small(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], most: int, budget: ReadBudget
    ) -> list[Document] | None:
        """All documents that the pipeline returns, each of them small; None if they are over `most` bytes of JSON.

        TooComplex if the budget is exceeded first.
        """
        cursor = await cursors.aggregate(collection, pipeline, batchSize=STEP)
        documents: list[Document] = []
        size, pace = 0, Pace()
        while piece := await cursors.fetch(cursor, STEP):
            more = len(orjson.dumps(piece, default=str))
            size += more
            if size > most:
                await cursors.close(cursor)
                return None
            budget.spend(more)
            await budget.enter()
            documents += piece
            await pace.pause()
        return documents

    async def aggregate_large(
        self, collection: Collection, pipeline: Sequence[Mapping[str, Any]], most: int, budget: ReadBudget
    ) -> list[Document] | None:
        """The same for documents that may be large, counted by their BSON bytes before they are decoded.

        It takes one more round trip: the driver fetches nothing with the first command.
        """
        await budget.begin()
        try:
            while True:
                cursor = await cursors.aggregate_raw(collection, pipeline)
                documents, size = list[Document](), 0
                while (piece := await cursors.fetch_raw(cursor)) is not None:
                    if budget.must_wait(len(piece)):
                        break  # drop all of it, wait for a permit, and read it again
                    size += len(piece)
                    if size > most:
                        await cursors.close(cursor)
                        return None
                    documents += await raw.documents(piece, budget, collection.codec_options)
                else:
                    return documents
                await cursors.close(cursor)
                budget.restore(size)
                more = len(piece)
                del documents, piece
                await budget.enter(size + more)
        finally:
            budget.end()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A server session, for transactions one after another."""
        if self.driver == "pymongo":
            async with self.client.start_session() as session:
                yield session
        else:
            async with await cast("Any", self.client).start_session() as session:
                yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """A session whose reads all see the same moment, for up to a minute; then MongoDB ends it.

        It is a transaction that only reads, because that keeps alive what it needs. For the snapshots of a session,
        MongoDB keeps the history of every document for minutes, which makes indexes almost twice as large (record 36).
        """
        async with self.session() as session:
            try:
                async with self.transaction(session, ReadConcern("snapshot")):
                    yield session
            except BaseException:
                # The driver does not abort a transaction whose time is over. In a context of its own, this has time.
                ending = self._end_in_time(session.session_id)
                await asyncio.create_task(ending, context=contextvars.Context())
                raise

    async def _end_in_time(self, id: Mapping[str, Any]) -> None:
        with suppress(PyMongoError), pymongo.timeout(2.0):
            await self.end_session(id)

    @asynccontextmanager
    async def transaction(self, session: Session, read_concern: ReadConcern | None = None) -> AsyncIterator[None]:
        """Commit all writes made with the session at the end of the block; abort them if it raises."""
        transaction = session.start_transaction(read_concern)
        # motor returns the context manager, pymongo a coroutine that returns it
        async with await transaction if self.driver == "pymongo" else cast("Any", transaction):
            yield

    async def transact(self, session: Session, writes: Sequence[Write]) -> None:
        """Commit all of the writes, or none. An exception from a `verify` aborts the transaction.

        Raises WriteRefused when MongoDB refuses one of them.
        """
        if self.driver == "pymongo":
            async with self.transaction(session):
                for write in writes:
                    with write.naming_collection():
                        result = await write.send(write.collection, session)
                    write.verify(result)
            return
        blocking = cast("Any", session).delegate

        def transact() -> None:
            with blocking.start_transaction():
                for write in writes:
                    with write.naming_collection():
                        result = write.send(cast("Any", write.collection).delegate, blocking)
                    write.verify(result)

        # One hop to a thread for the whole transaction: motor would hop once per write, which doubles its time.
        await _run_to_end(asyncio.to_thread(transact))

    async def end_session(self, id: Mapping[str, Any]) -> None:
        """End a session that was left open: MongoDB would keep the locks of its transaction for a minute."""
        await self.client.admin.command({"killSessions": [id]})

    async def close(self) -> None:
        """Close all connections. A MongoDB that hangs is not waited for, although the driver takes leave of it."""
        # motor's own method blocks the event loop, and with it the end of the process
        is_motor = self.driver == "motor"
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await (THREADS.run(cast("Any", self.client).delegate.close) if is_motor else self.client.close())
        except TimeoutError:
            if not is_motor:
                await self.client.close()  # again, without the farewell


@asynccontextmanager
async def connect(url: str, database: str, driver: Driver) -> AsyncIterator[Mongo]:
    """A connection for the length of the block; CannotStart when the URL cannot be used.

    This contacts no server: the first call does.
    """
    _patch()
    if not url.startswith(SCHEMES):
        # pymongo would take a word without a scheme for the name of a host
        raise CannotStart("EVENTSCOPE_MONGO_URL cannot be used: it is no address like mongodb://host:27017/")
    try:
        # pymongo warns about unknown options, and may repeat their values, which can be secret
        with warnings.catch_warnings(record=True) as problems:
            warnings.simplefilter("always")
            client: Any = (
                pymongo.AsyncMongoClient(url, **OPTIONS) if driver == "pymongo" else AsyncIOMotorClient(url, **OPTIONS)
            )
    except OSError as error:
        raise CannotStart(f"EVENTSCOPE_MONGO_URL names a file that cannot be read: {error.strerror or error}") from None
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise CannotStart(f"EVENTSCOPE_MONGO_URL cannot be used: {explanation(error, url)}") from None
    for problem in problems:
        logger.warning("EVENTSCOPE_MONGO_URL: %s", explanation(Warning(str(problem.message)), url))
    mongo = Mongo(driver, client, client[database])
    try:
        yield mongo
    finally:
        await mongo.close()


async def command_on(collection: Collection, command: Document, codec: CodecOptions[Any]) -> Any:
    """MongoDB's answer to the command, run on the collection's database."""
    database = collection.database
    options: dict[str, Any] = {"codec_options": codec, "read_preference": collection.read_preference}
    # a copy: the driver adds members to the command
    if isinstance(collection, AsyncCollection):
        return await database.command({**command}, **options)
    blocking = cast("Any", database).delegate
    return await THREADS.run(lambda: blocking.command({**command}, **options))


async def _run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Await work in a thread to its end, however often the caller is cancelled; then raise the cancellation.

    A thread cannot be cancelled. If a cancelled caller returned at once, the thread would still be writing, and the
    next user of the session (its end, or the next batch of the writer) would use it from two threads. The transaction
    could then also commit after its caller has treated it as failed.
    """
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
