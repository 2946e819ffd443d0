"""Stock Strawberry, as its documentation shows it: types with attributes, its own view and settings; for comparison.

Started with MONGO, DATABASE, DRIVER and PORT in its environment, like every server that is compared.
"""

import os
from typing import Any

import pymongo
import strawberry
import uvicorn
from motor.motor_asyncio import AsyncIOMotorClient
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON

from benchmarks.read_floor import PROJECTION
from eventscope.store.filters.mongo import unexpired
from eventscope.store.mongo.driver import OPTIONS
from eventscope.store.values.moment import now, to_text


@strawberry.type
class Event:
    """An event with the fields that the query selects."""

    id: strawberry.ID
    position: int
    type: str
    timestamp: str
    recorded_at: str
    aggregate_type: str | None
    aggregate_id: strawberry.ID | None
    version: int | None
    user_id: strawberry.ID | None
    correlation_id: strawberry.ID | None
    data: JSON | None
    metadata: JSON | None


@strawberry.type
class EventEdge:
    """An event and its cursor."""

    cursor: str
    node: Event


@strawberry.type
class PageInfo:
    """How the page continues."""

    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class EventConnection:
    """A page of events."""

    edges: list[EventEdge]
    page_info: PageInfo


def application() -> GraphQL[Any, Any]:
    """The schema in Strawberry's view."""
    client_class: Any = AsyncIOMotorClient if os.environ["DRIVER"] == "motor" else pymongo.AsyncMongoClient
    client = client_class(os.environ["MONGO"], **OPTIONS)
    collection = client[os.environ["DATABASE"]]["events"]

    async def events(first: int) -> EventConnection:
        with pymongo.timeout(10):
            found = collection.find(unexpired(now()), PROJECTION).sort("_id", -1).limit(first + 1).batch_size(first + 1)
            documents = await found.to_list(None)
        edges = [EventEdge(cursor=f"e{document['_id']:x}", node=_event(document)) for document in documents[:first]]
        info = PageInfo(has_next_page=len(documents) > first, end_cursor=edges[-1].cursor if edges else None)
        return EventConnection(edges=edges, page_info=info)

    query = strawberry.type(type("Query", (), {"events": strawberry.field(resolver=events)}))
    return GraphQL(strawberry.Schema(query))


def _event(document: dict[str, Any]) -> Event:
    return Event(
        id=document["messageId"],
        position=document["_id"],
        type=document["type"],
        timestamp=to_text(document["timestamp"]),
        recorded_at=to_text(document["recordedAt"]),
        aggregate_type=document.get("aggregateType"),
        aggregate_id=document.get("aggregateId"),
        version=document.get("version"),
        user_id=document.get("userId"),
        correlation_id=document.get("correlationId"),
        data=document.get("data"),
        metadata=document.get("metadata"),
    )


if __name__ == "__main__":
    uvicorn.run(application(), port=int(os.environ["PORT"]), http="httptools", access_log=False, log_level="warning")
