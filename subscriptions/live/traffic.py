"""The traffic on the subject of live batches, and how much of it comes from no ingester of this log."""

import asyncio
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.store.log import Log
from eventscope.store.state import secret
from eventscope.subscriptions.live import live_batch, seal

MOST = 10_000  # messages that are checked


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counts of messages by their signature; `has_key` is whether an ingester of this log has ever signed any."""

    genuine_count: int
    unsigned_count: int
    forged_count: int
    has_key: bool


async def measure_traffic(log: Log, client: Client, stream: str, seconds: float) -> Traffic:
    """Listen for `seconds`, which should exceed HEARTBEAT_SECONDS. Unavailable, QuestionTimedOut or Blocked."""
    messages: list[bytes] = []

    async def receive(message: Msg) -> None:
        if len(messages) < MOST:
            messages.append(message.data)

    subscription = await client.subscribe(live_batch.subject(stream), cb=receive)
    try:
        await asyncio.sleep(seconds)
    finally:
        await subscription.unsubscribe()
    key = await secret.key(log)
    genuine = sum(key is not None and seal.is_genuine(raw, key) for raw in messages)
    unsigned = sum(not seal.is_sealed(raw) for raw in messages)
    return Traffic(genuine, unsigned, len(messages) - genuine - unsigned, key is not None)
