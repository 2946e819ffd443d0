"""What an ingester does besides ingesting."""

from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import orjson
from nats.aio.client import Client

QUERY = '{ eventTypes(prefix: "user.") { type fields { path count } fieldsCountedTo } }'


async def test_the_fields_of_new_events_are_counted(
    ingesting: None,
    api: str,
    client: Client,
    subject_prefix: str,
    until: Callable[..., Coroutine[None, None, object]],
) -> None:
    js = client.jetstream()
    for n in range(3):
        await js.publish(f"{subject_prefix}.user.created", orjson.dumps({"data": {"name": "Ada", "n": n}}))
    async with httpx.AsyncClient(base_url=api) as http:

        async def counted() -> list[dict[str, Any]] | None:
            answer = (await http.post("/graphql", json={"query": QUERY})).json()["data"]["eventTypes"]
            return answer if answer and answer[0]["fieldsCountedTo"] == 3 else None

        assert await until(counted) == [
            {
                "type": "user.created",
                "fields": [{"path": "name", "count": 3}, {"path": "n", "count": 3}],
                "fieldsCountedTo": 3,
            }
        ]
