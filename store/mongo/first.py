"""The first documents that match a query, in a single answer of MongoDB: at most 16 MiB of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from bson.codec_options import CodecOptions
from pymongo.errors import ConnectionFailure, PyMongoError

from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.driver import Collection, Document, command_on
from eventscope.store.mongo.failure import passes
from eventscope.store.mongo.raw import ANSWER, Answer

TRIES: Final = 3  # after temporary failures, as for the driver's own cursors


async def first(
    collection: Collection,
    query: Document,
    projection: Mapping[str, int] | None = None,
    *,
    limit: int,
    direction: int = 1,
) -> list[Document]:
    """The first documents that match, in the order of `_id`: as many as fit into one answer of MongoDB.

    The driver's cursor returns the same, but takes a sixth more CPU time.
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
    """The same for documents that may be large, and about how many bytes they have.

    TooComplex when the budget is exceeded, Unavailable when too many other operations hold large answers.
    """
    command = _command(collection, query, projection, limit, direction)
    if hint is not None:
        command["hint"] = dict(hint)
    await budget.begin()
    try:
        answer: Answer = await _answer(collection, command, ANSWER)
        size = answer.size
        if size > budget.most_in_wait and budget.must_wait(size):
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
        "batchSize": limit,  # otherwise a batch ends after a hundred documents
        "singleBatch": True,
        "readConcern": collection.read_concern.document,
    }
    if projection is not None:
        command["projection"] = projection
    return command


async def _answer(collection: Collection, command: Document, codec: CodecOptions[Any]) -> Any:
    tries = TRIES
    while True:
        tries -= 1
        try:
            return await command_on(collection, command, codec)
        except PyMongoError as error:
            if not tries or not (isinstance(error, ConnectionFailure) or passes(error)):
                raise
