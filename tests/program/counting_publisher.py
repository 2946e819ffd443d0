"""A typical service: it publishes on core NATS, and counts versions in its own memory.

    python counting_publisher.py NATS_URL PREFIX NAME COUNT

It stands for a class of a NestJS backend. The numbers begin at 1 in each process, whether a replica or the same service
after a restart; the class neither uses JetStream nor sets headers. Each message is printed after it is sent to NATS.
"""

import asyncio
import json
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import nats
from nats.aio.client import Client


class EventsService:
    """Publishes domain events."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._versions: Counter[str] = Counter()

    async def publish(self, type: str, data: object, user: str, aggregate: tuple[str, str] | None) -> dict[str, Any]:
        """Publish one event, with or without an aggregate."""
        event: dict[str, Any] = {
            "messageId": str(uuid.uuid4()),
            "type": type,
            "version": 1,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "userId": user,
            "data": data,
            "metadata": {"source": "backend"},
            "correlationId": str(uuid.uuid4()),
        }
        if aggregate is not None:
            of, id = aggregate
            self._versions[f"{of}:{id}"] += 1
            event |= {"aggregateType": of, "aggregateId": id, "version": self._versions[f"{of}:{id}"]}
        await self._client.publish(f"{self._prefix}.{type}", json.dumps(event).encode())
        return event


async def main(url: str, prefix: str, name: str, count: int) -> None:
    """Publish this many events."""
    client = await nats.connect(url)
    service = EventsService(client, prefix)
    for number in range(count):
        if number % 6 == 5:
            event = await service.publish("websocket.user.connected", {"from": name, "n": number}, name, None)
        else:
            of = ("user", "vendor")[number % 2]
            event = await service.publish(f"{of}.updated", {"from": name, "n": number}, name, (of, str(number % 5)))
        await client.flush()
        print(json.dumps(event), flush=True)
    await client.drain()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
