"""The first documents that a query means, in one answer of MongoDB's: as many as its 16 MiB have room for."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pymongo.errors import ConnectionFailure, PyMongoError

from eventscope.store import raw
from eventscope.store.budget import Budget
from eventscope.store.driver import Collection, Document, raw_batch
from eventscope.store.failure import passes


async def first(
    collection: Collection,
    query: Document,
    projection: Mapping[str, int] | None = None,
    *,
    limit: int,
    direction: int = 1,
) -> list[Document]:
    """The first documents that the query means, by key: as many as there is room for in one answer of MongoDB's.

    The driver's cursor gives the same, for a sixth more of our time; it is asked where it is worth a second try.
    """
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
    try:
        answer = await collection.database.command(
            command, codec_options=collection.codec_options, read_preference=collection.read_preference
        )
    except PyMongoError as error:
        if not isinstance(error, ConnectionFailure) and not passes(error):
            raise
        found = collection.find(query, projection).sort("_id", direction).limit(-limit).batch_size(limit)
        return await found.to_list(None)
    return cast("list[Document]", answer["cursor"]["firstBatch"])


async def first_large(
    collection: Collection,
    query: Document,
    projection: Mapping[str, int] | None = None,
    *,
    limit: int,
    budget: Budget,
    direction: int = 1,
    hint: Sequence[tuple[str, int]] | None = None,
) -> tuple[list[Document], int]:
    """The same where they may be large, and their bytes.

    TooComplex when the budget has fewer, Unavailable when too many others read much.
    """
    options: dict[str, Any] = {"sort": [("_id", direction)], "limit": -limit, "batch_size": limit}
    if hint is not None:
        options["hint"] = list(hint)
    async with budget.reading:
        found = await raw_batch(collection, query, projection, **options)
        if budget.must_wait(size := len(found)):
            del found
            await budget.enter(size)
            found = await raw_batch(collection, query, projection, **options)
        return await raw.documents(found, budget, collection.codec_options), len(found)
