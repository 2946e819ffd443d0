"""Reading documents in one answer of MongoDB: at most 16 MiB, however large the events are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.driver import Collection, Document
from eventscope.store.mongo.first import first, first_large

# a full answer has at least 10 MiB, since no event has more than 6
FULL: Final = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class FetchedDocuments:
    """Documents in order of position, of `size` bytes. `is_full` if more match than fit into one answer."""

    documents: list[Document]
    is_full: bool = False
    size: int = 0


async def fetch(
    collection: Collection,
    query: Document,
    projection: dict[str, int] | None,
    *,
    direction: int,
    limit: int,
    budget: ReadBudget,
    hint: Sequence[tuple[str, int]] | None = None,
) -> FetchedDocuments:
    """The first `limit` documents that match the query, or as many as fit into one answer.

    TooComplex when the budget is exceeded.
    """
    documents, size = await first_large(
        collection, query, projection, limit=limit, budget=budget, direction=direction, hint=hint
    )
    if len(documents) == limit or size < FULL:
        return FetchedDocuments(documents, size=size)
    beyond = {"_id": {"$gt" if direction > 0 else "$lt": documents[-1]["_id"]}}
    more = await first(collection, {"$and": [query, beyond]}, {"_id": 1}, limit=1, direction=direction)
    return FetchedDocuments(documents, bool(more), size)
