"""Storing events without an ingester, with or without announcing them to the live feed."""

from collections.abc import Sequence
from typing import Any

from nats.aio.client import Client

from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.state import lease
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import AcceptedMessage, Arrival, MessageBatch, StreamPosition
from eventscope.store.write.append import append
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.live import live_batch
from tests.subscriptions.support.seals import seal_of

FOREVER = 0.0


async def store(
    log: Log, *events: dict[str, Any], recorded_at: int | None = None, days: float = FOREVER
) -> Sequence[EventDocument]:
    """Store these events without announcing them."""
    at = await lease.acquire(log, "test", 60)
    assert at is not None
    start = at.stream_position.sequence if at.stream_position else 0
    when = moment.now() if recorded_at is None else recorded_at
    arrivals = [Arrival("x", {}, b"", start + n, when) for n in range(1, len(events) + 1)]
    taken = tuple(
        AcceptedMessage(a, {"type": "user.updated", "messageId": f"m{a.sequence}", "timestamp": when, **event})
        for a, event in zip(arrivals, events, strict=True)
    )
    await append(log, Retention({"*": days}), at, MessageBatch(taken, StreamPosition("S", "", start + len(events), 0)))
    return await pages.events(log, EVERYTHING, above=at.head, limit=len(events))


async def tell(log: Log, client: Client, stream: str, events: Sequence[EventDocument]) -> None:
    """Announce to the feed that these were stored, as the ingester does."""
    for message in live_batch.encode(events[0]["_id"] - 1, events, 100_000, await seal_of(log)):
        await client.publish(live_batch.subject(stream), message)


async def beat(log: Log, client: Client, stream: str, head: int) -> None:
    """Announce only the head to the feed."""
    await client.publish(live_batch.subject(stream), live_batch.heartbeat(head, await seal_of(log)))


def user(id: str, **more: Any) -> dict[str, Any]:
    """An event that happened to a user."""
    return {"aggregateType": "user", "aggregateId": id, **more}
