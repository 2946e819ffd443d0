"""Reading documents in one batch of MongoDB's: no page takes more than its 16 MiB, however large the events are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from eventscope.store.driver import Collection, Document, first

# A batch that is full has at least 10 MiB (no event has more than 6), and BSON is at most eight times as long as JSON.
FULL: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents in order of position; `cut` when there are more, for which there was no room.

    If they are fewer than were asked for, `size` is that of their text, in bytes.
    """

    documents: list[Document]
    cut: bool = False
    size: int = 0


async def batch(
    collection: Collection,
    query: Document,
    projection: dict[str, int] | None,
    *,
    direction: int,
    limit: int,
    hint: Sequence[tuple[str, int]] | None = None,
) -> Batch:
    """The first `limit` documents that the query means, or as many as there is room for."""
    documents = await first(collection, query, projection, limit=limit, direction=direction, hint=hint)
    if len(documents) == limit:
        return Batch(documents)
    size = sum(len(orjson.dumps(document, default=str)) for document in documents)
    if size < FULL:
        return Batch(documents, size=size)
    beyond = {"_id": {"$gt" if direction > 0 else "$lt": documents[-1]["_id"]}}
    more = await first(collection, {"$and": [query, beyond]}, {"_id": 1}, limit=1, direction=direction)
    return Batch(documents, bool(more), size)
