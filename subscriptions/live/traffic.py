"""What is said where live batches go round, and how much of it comes from no ingester of this log."""

import asyncio
from dataclasses import dataclass

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventscope.store.log import Log
from eventscope.store.state import secret
from eventscope.subscriptions.live import live_batch, seal

MOST = 10_000  # messages that are looked at


@dataclass(frozen=True, slots=True)
class Traffic:
    """Messages, by whether an ingester of this log has signed them; `has_key` is whether one ever did."""

    genuine: int
    unsigned: int
    forged: int
    has_key: bool


async def measure_traffic(log: Log, client: Client, stream: str, seconds: float) -> Traffic:
    """Listen for so long, which should be longer than a heartbeat takes. Unavailable, QuestionTimedOut or Blocked."""
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        if len(heard) < MOST:
            heard.append(message.data)

    subscription = await client.subscribe(live_batch.subject(stream), cb=hear)
    try:
        await asyncio.sleep(seconds)
    finally:
        await subscription.unsubscribe()
    key = await secret.key(log)
    genuine = sum(key is not None and seal.is_genuine(raw, key) for raw in heard)
    unsigned = sum(not seal.is_sealed(raw) for raw in heard)
    return Traffic(genuine, unsigned, len(heard) - genuine - unsigned, key is not None)
