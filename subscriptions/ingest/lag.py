"""How far the log is behind the stream."""

from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError

from eventscope.errors import Unavailable
from eventscope.store.log import Log
from eventscope.store.state import checkpoint
from eventscope.subscriptions.ingest.resume import created
from eventscope.subscriptions.nats.single import messages_after


@dataclass(frozen=True, slots=True)
class Lag:
    """How many messages are in the stream but not yet in the log, and how long the oldest of them has waited."""

    events: int
    seconds: float


async def lag(log: Log, client: Client, stream: str) -> Lag | None:
    """The lag; None while NATS does not answer or there is no stream. Raises Unavailable when MongoDB does not answer.

    Messages that were removed from the stream between others that wait are counted too.
    """
    position = (await checkpoint.read(log)).stream_position
    try:
        info = await client.jetstream().stream_info(stream)
        done = position.sequence if position is not None and position.created == created(info) else 0
        if info.state.last_seq <= max(done, info.state.first_seq - 1):
            return Lag(0, 0.0)
        oldest = await messages_after(client, stream, done, 1)
    except (nats.errors.Error, APIError, Unavailable, TimeoutError, OSError):
        return None
    if not oldest:  # all later messages were removed
        return Lag(0, 0.0)
    waiting = max(1, min(info.state.messages, info.state.last_seq - oldest[0].sequence + 1))
    return Lag(waiting, max(0, log.clock() - oldest[0].recorded_at) / 1_000_000)
