"""The floor of the read benchmarks: one Starlette route, the same find, an answer built by hand, and orjson.

Started with MONGO, DATABASE, DRIVER and PORT in its environment, like every server that is compared.
"""

import os
from typing import Any

import orjson
import pymongo
import uvicorn
from motor.motor_asyncio import AsyncIOMotorClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventscope.store.filters.mongo import unexpired
from eventscope.store.mongo.driver import OPTIONS
from eventscope.store.values.moment import now, to_text

FIELDS = ("messageId", "type", "timestamp", "recordedAt", "aggregateType", "aggregateId", "version", "userId")
MORE = ("correlationId", "data", "metadata")
PROJECTION = dict.fromkeys((*FIELDS, *MORE), 1)


def application() -> Starlette:
    """An application that answers the benchmark's query, and nothing else."""
    client_class: Any = AsyncIOMotorClient if os.environ["DRIVER"] == "motor" else pymongo.AsyncMongoClient
    client = client_class(os.environ["MONGO"], **OPTIONS)
    events = client[os.environ["DATABASE"]]["events"]

    async def page(request: Request) -> Response:
        first = orjson.loads(await request.body())["variables"]["first"]
        with pymongo.timeout(10):
            found = events.find(unexpired(now()), PROJECTION).sort("_id", -1).limit(first + 1).batch_size(first + 1)
            documents = await found.to_list(None)
        return Response(orjson.dumps(answer(documents, first)), media_type="application/json")

    return Starlette(routes=[Route("/graphql", page, methods=["POST"])])


def answer(documents: list[dict[str, Any]], first: int) -> dict[str, Any]:
    """The answer to the query in `benchmarks.read`."""
    page = documents[:first]
    edges = [
        {
            "cursor": f"e{event['_id']:x}",
            "node": {
                "id": event["messageId"],
                "position": event["_id"],
                "type": event["type"],
                "timestamp": to_text(event["timestamp"]),
                "recordedAt": to_text(event["recordedAt"]),
                "aggregateType": event.get("aggregateType"),
                "aggregateId": event.get("aggregateId"),
                "version": event.get("version"),
                "userId": event.get("userId"),
                "correlationId": event.get("correlationId"),
                "data": event.get("data"),
                "metadata": event.get("metadata"),
            },
        }
        for event in page
    ]
    info = {"hasNextPage": len(documents) > first, "endCursor": edges[-1]["cursor"] if edges else None}
    return {"data": {"events": {"edges": edges, "pageInfo": info}}}


if __name__ == "__main__":
    uvicorn.run(application(), port=int(os.environ["PORT"]), http="httptools", access_log=False, log_level="warning")
