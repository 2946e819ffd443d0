"""A subscription to all events over a WebSocket, the positions that it delivers, and the metrics of its server."""

from typing import Any

import orjson
from nats.aio.client import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api_server import RunningApi
from tests.support.clients.websocket import Socket, subscribe

FEED = """subscription ($after: String, $filter: EventFilter) { events(after: $after, filter: $filter) {
  __typename ... on Event { id position cursor data } ... on CaughtUp { cursor } } }"""


class Publisher:
    """Publishes events on the subjects of the test, and counts them."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self.published = 0

    async def publish(self, n: int = 1, **body: object) -> None:
        """Publish n events."""
        for _ in range(n):
            self.published += 1
            message = orjson.dumps({"messageId": f"m{self.published}", **body})
            await self._client.publish(f"{self._prefix}.thing.happened", message)
        await self._client.flush()


async def caught_up(socket: Socket, id: str = "1", query: str = FEED, **variables: object) -> None:
    """Subscribe, and wait until the delivery is live."""
    await socket.say(subscribe(id, query, variables=variables))
    while (await socket.hear())["payload"]["data"]["events"]["__typename"] != "CaughtUp":
        pass


async def event(socket: Socket) -> Any:
    """The next event."""
    while (found := (await socket.hear())["payload"]["data"]["events"])["__typename"] != "Event":
        pass
    return found


async def events(socket: Socket, n: int) -> list[int]:
    """The positions of the next n events."""
    return [(await event(socket))["position"] for _ in range(n)]


async def figure(api: RunningApi, name: str, **labels: str) -> float:
    """A metric of the server."""
    text = (await api.http.get("/metrics")).text
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"eventscope_{name}" and sample.labels == labels
    ]
    return found[0] if found else 0.0
