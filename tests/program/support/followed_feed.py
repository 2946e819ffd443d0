"""A subscription over a WebSocket, what it delivers, and numbered events for it."""

from typing import Any

import orjson
from nats.aio.client import Client

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from tests.support.clients.websocket import Socket, subscribe
from tests.support.until import until

FEED = """subscription ($filter: EventFilter, $after: String, $from: StartFrom) {
  events(filter: $filter, after: $after, from: $from) {
    __typename
    ... on Event { id cursor type }
    ... on CaughtUp { cursor }
    ... on Checkpoint { cursor }
    ... on FellBehind { cursor }
  }
}"""


class Publisher:
    """Publishes events on the subjects of the test, with consecutive numbers."""

    def __init__(self, client: Client, prefix: str) -> None:
        self.published: list[str] = []
        self._client = client
        self._prefix = prefix

    async def publish(self, n: int, type: str = "thing.happened", **more: object) -> list[str]:
        """Publish n events; returns their ids."""
        ids = [f"p{len(self.published) + i}" for i in range(n)]
        for id in ids:
            message = orjson.dumps({"messageId": id, "data": {}, **more})
            await self._client.publish(f"{self._prefix}.{type}", message)
            self.published.append(id)
        await self._client.flush()
        return ids


async def follow(socket: Socket, id: str = "f", **variables: object) -> None:
    """Subscribe to all events under that id."""
    await socket.say(subscribe(id, FEED, variables=variables))


async def delivery(socket: Socket) -> Any:
    """The next item that is delivered."""
    message = await socket.hear()
    assert message["type"] == "next", message
    assert "errors" not in message["payload"], message
    return message["payload"]["data"]["events"]


async def events(socket: Socket, n: int) -> list[str]:
    """The next n events, skipping other items."""
    found: list[str] = []
    while len(found) < n:
        one = await delivery(socket)
        if one["__typename"] == "Event":
            found.append(one["id"])
    return found


async def caught_up(socket: Socket) -> tuple[list[str], str]:
    """The events before the next `CaughtUp`, and its cursor."""
    found = []
    while (one := await delivery(socket))["__typename"] != "CaughtUp":
        if one["__typename"] == "Event":
            found.append(one["id"])
    return found, one["cursor"]


async def stored(log: Log, n: int) -> None:
    """Wait until that many events are stored."""

    async def there() -> bool:
        return len(await pages.events(log, EVERYTHING, limit=n)) == n

    await until(there)
