"""Stock Strawberry, as its documentation shows subscriptions: an async generator for each client, fed by a queue.

Started with EVENTSCOPE_NATS_URL, EVENTSCOPE_PORT and SUBJECT in its environment, like every server that is compared.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any

import nats
import orjson
import strawberry
import uvicorn
import uvloop
from nats.aio.msg import Msg
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON

from eventscope.store.values.moment import to_text

QUEUES: "set[asyncio.Queue[Event]]" = set()


@strawberry.type
class Event:
    """An event with the fields that clients select."""

    id: strawberry.ID
    position: int
    cursor: str
    type: str
    timestamp: str
    aggregate_type: str | None
    aggregate_id: strawberry.ID | None
    version: int | None
    user_id: strawberry.ID | None
    correlation_id: strawberry.ID | None
    data: JSON | None


@strawberry.type
class Query:
    """A schema must have a query."""

    name: str = "live"


@strawberry.type
class Subscription:
    """The subscriptions."""

    @strawberry.subscription
    async def events(self) -> AsyncGenerator[Event, None]:
        """Every event."""
        queue = asyncio.Queue[Event]()
        QUEUES.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            QUEUES.discard(queue)


async def send(message: Msg) -> None:
    """Put the events of a batch into all queues."""
    for document in orjson.loads(message.data)["events"]:
        event = _event(document)
        for queue in QUEUES:
            queue.put_nowait(event)


async def following(request: object) -> PlainTextResponse:
    """The number of clients that events are sent to."""
    return PlainTextResponse(str(len(QUEUES)))


async def main() -> None:
    """Serve."""
    client = await nats.connect(os.environ["EVENTSCOPE_NATS_URL"])
    await client.subscribe(os.environ["SUBJECT"], cb=send)
    graphql = GraphQL[Any, Any](strawberry.Schema(Query, subscription=Subscription))
    app = Starlette(routes=[Route("/healthz", following), WebSocketRoute("/graphql", graphql)])
    config = uvicorn.Config(
        app,
        port=int(os.environ["EVENTSCOPE_PORT"]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="error",
    )
    await uvicorn.Server(config).serve()


def _event(document: dict[str, Any]) -> Event:
    return Event(
        id=document["messageId"],
        position=document["_id"],
        cursor=f"e{document['_id']:x}",
        type=document["type"],
        timestamp=to_text(document["timestamp"]),
        aggregate_type=document.get("aggregateType"),
        aggregate_id=document.get("aggregateId"),
        version=document.get("version"),
        user_id=document.get("userId"),
        correlation_id=document.get("correlationId"),
        data=document.get("data"),
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
