"""The first documents that a query means, in one answer of MongoDB's: as many as its 16 MiB have room for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from bson.codec_options import CodecOptions
from pymongo.errors import ConnectionFailure, PyMongoError

from eventscope.store.mongo.budget import HELD, ReadBudget
from eventscope.store.mongo.driver import Collection, Document, command_on
from eventscope.store.mongo.failure import passes
from eventscope.store.mongo.raw import ANSWER, Answer

TRIES: Final = 3  # where a failure passes: as many as a cursor of the driver's takes


async def first(
    collection: Collection,
    query: Document,
    projection: Mapping[str, int] | None = None,
    *,
    limit: int,
    direction: int = 1,
) -> list[Document]:
    """The first documents that the query means, by key: as many as there is room for in one answer of MongoDB's.

    The driver's cursor gives the same, for a sixth more of our time.
    """
    command = _command(collection, query, projection, limit, direction)
    answer = await _answer(collection, command, collection.codec_options)
    return cast("list[Document]", answer["cursor"]["firstBatch"])


async def first_large(
    collection: Collection,
    query: Document,
    projection: Mapping[str, int] | None = None,
    *,
    limit: int,
    budget: ReadBudget,
    direction: int = 1,
    hint: Sequence[tuple[str, int]] | None = None,
) -> tuple[list[Document], int]:
    """The same where they may be large, and about how many bytes they are.

    TooComplex when the budget has fewer, Unavailable when too many others read much.
    """
    command = _command(collection, query, projection, limit, direction)
    if hint is not None:
        command["hint"] = dict(hint)
    await budget.begin()
    try:
        answer: Answer = await _answer(collection, command, ANSWER)
        size = answer.size
        if size > HELD and budget.must_wait(size):
            del answer
            await budget.enter(size)
            answer = await _answer(collection, command, ANSWER)
        return await answer.documents(budget, collection.codec_options), answer.size
    finally:
        budget.end()


def _command(
    collection: Collection, query: Document, projection: Mapping[str, int] | None, limit: int, direction: int
) -> Document:
    command: Document = {
        "find": collection.name,
        "filter": query,
        "sort": {"_id": direction},
        "limit": limit,
        "batchSize": limit,  # without it, a batch ends after a hundred
        "singleBatch": True,
        "readConcern": collection.read_concern.document,
    }
    if projection is not None:
        command["projection"] = projection
    return command


async def _answer(collection: Collection, command: Document, codec: CodecOptions[Any]) -> Any:
    left = TRIES
    while True:
        left -= 1
        try:
            return await command_on(collection, command, codec)
        except PyMongoError as error:
            if not left or not (isinstance(error, ConnectionFailure) or passes(error)):
                raise
