"""How far the log is behind the stream."""

from dataclasses import dataclass

import nats.errors
from nats.js import JetStreamContext
from nats.js.errors import APIError

from eventscope.store import checkpoint, moment
from eventscope.store.log import Log
from eventscope.subscriptions.origin import created


@dataclass(frozen=True, slots=True)
class Lag:
    """Messages that the stream has and the log has not, and for how long the oldest of them waits."""

    events: int
    seconds: float


async def lag(log: Log, js: JetStreamContext, stream: str) -> Lag | None:
    """The lag; None while NATS does not answer or the stream is not there."""
    place = (await checkpoint.read(log)).place
    try:
        info = await js.stream_info(stream)
        done = place.sequence if place is not None and place.created == created(info) else 0
        waiting = max(0, info.state.last_seq - max(done, info.state.first_seq - 1))
        if waiting == 0:
            return Lag(0, 0.0)
        oldest = await js.get_msg(stream, max(done + 1, info.state.first_seq))
    except (nats.errors.Error, APIError, TimeoutError, OSError):
        return None
    since = log.clock() - moment.of(oldest.time) if oldest.time is not None else 0
    return Lag(waiting, max(0, since) / 1_000_000)
