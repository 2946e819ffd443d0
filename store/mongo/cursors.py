"""Reads the cursors of either driver; those of motor in threads of our own.

Motor passes a result through several futures, one turn of the event loop after the other. If a read that was cancelled
fails just as the loop ends, one of them is left with an exception that nothing retrieves, and asyncio logs it as an
error.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor

from eventscope.store.mongo.threads import Threads

_Document: TypeAlias = dict[str, Any]
MongoCursor: TypeAlias = "AsyncCursor[_Document] | AsyncCommandCursor[_Document]"

_THREADS: Final = Threads()  # not those that read pages: a page does not wait for a long read


async def fetch_all(cursor: MongoCursor) -> list[_Document]:
    """All documents of what `find` or `aggregate` returned."""
    return await fetch(cursor, None)


async def fetch(cursor: MongoCursor, most: int | None) -> list[_Document]:
    """The next documents, at most `most`; none at the end."""
    if isinstance(cursor, AsyncCursor | AsyncCommandCursor):
        return await cursor.to_list(most)
    blocking = _blocking(cursor)
    return await _THREADS.run(lambda: list(islice(blocking, most)))


async def fetch_raw(cursor: MongoCursor) -> bytes | None:
    """The next batch of a raw cursor, as BSON; None at the end."""
    if isinstance(cursor, AsyncCommandCursor):
        return cast("bytes | None", await anext(cursor, None))
    blocking = _blocking(cursor)
    return cast("bytes | None", await _THREADS.run(lambda: next(blocking, None)))


async def aggregate(
    collection: AsyncCollection[_Document], pipeline: Sequence[Mapping[str, Any]], **options: Any
) -> MongoCursor:
    """A cursor over what the pipeline returns."""
    if isinstance(collection, AsyncCollection):
        return await collection.aggregate(pipeline, **options)
    if session := options.get("session"):
        options["session"] = _blocking(session)
    blocking = _blocking(collection)
    return cast("MongoCursor", await _THREADS.run(lambda: blocking.aggregate(pipeline, **options)))


async def aggregate_raw(collection: AsyncCollection[_Document], pipeline: Sequence[Mapping[str, Any]]) -> MongoCursor:
    """A cursor over batches of undecoded documents that the pipeline returns."""
    if isinstance(collection, AsyncCollection):
        return cast("MongoCursor", await collection.aggregate_raw_batches(pipeline))
    blocking = _blocking(collection)
    return cast("MongoCursor", await _THREADS.run(lambda: blocking.aggregate_raw_batches(pipeline)))


async def close(cursor: MongoCursor) -> None:
    """Close it on the server, too."""
    if isinstance(cursor, AsyncCursor | AsyncCommandCursor):
        await cursor.close()
    else:
        await _THREADS.run(_blocking(cursor).close)


def _blocking(wrapped: object) -> Any:
    """What motor wraps: pymongo's own, which blocks. A cursor of `aggregate` here is not wrapped."""
    return getattr(wrapped, "delegate", wrapped)
