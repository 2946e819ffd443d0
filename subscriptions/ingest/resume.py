"""Where to start reading a stream, and whether it is still the stream that the checkpoint refers to."""

from dataclasses import dataclass
from typing import Final

import nats.errors
import orjson
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError

from eventscope.store.values import moment
from eventscope.store.values.message import StreamPosition
from eventscope.subscriptions.ingest.trim import first_since
from eventscope.subscriptions.nats.client import api_subject
from eventscope.subscriptions.nats.single import message_at, messages_after
from eventscope.subscriptions.nats.stream import unavailable

TOLERANCE: Final = 1000  # microseconds by which two timestamps of one message may differ
SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class StartPoint:
    """Where a stream is read from.

    Reading starts after `stream_position`; `first` is the first sequence that the stream has, or will assign if it is
    empty, and `last` the last one that it assigned. `reset` says why the stream must be read from its start; None if it
    need not.
    """

    stream_position: StreamPosition
    first: int
    last: int
    reset: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    info: api.StreamInfo
    first_at: int
    last_at: int  # of the last message, even if it has since been removed

    @property
    def last(self) -> int:
        return self.info.state.last_seq


async def start_of(client: Client, stream: str, position: StreamPosition | None) -> StartPoint:
    """Where to read the stream, given the checkpoint's stream position. Raises Unavailable.

    A stream that was created again, or that lost its last messages (JetStream syncs every two minutes by default),
    assigns the same sequences to other messages. It is read from its start, and messages that the log has are
    recognized by their messageId and dropped.
    """
    try:
        state = await _state(client, stream)
        info, last = state.info, state.last
        first = max(1, info.state.first_seq)
        # messages that were gone before this log first read the stream are not losses of this log
        unread = StreamPosition(stream, created(info), first - 1, state.last_at if first > last else 0)
        if position is None:
            return StartPoint(unread, first, last)
        if position.stream != stream:
            return StartPoint(unread, first, last, f"is read instead of {position.stream}")
        start = StreamPosition(stream, created(info), max(1, info.config.first_seq or 1) - 1, 0)
        if position.created != start.created:
            return StartPoint(start, first, last, f"was created again ({start.created}, before {position.created})")
        if last < position.sequence:
            reset = f"has lost its last messages (last sequence {last}, read up to {position.sequence})"
        elif await _is_another(client, position):
            reset = f"has other messages up to sequence {position.sequence} than were read"
        else:
            return StartPoint(position, first, last)
    except (TimeoutError, nats.errors.Error, APIError, OSError) as error:
        raise unavailable(error, client) from error
    if first > start.sequence + 1 and (state.last_at if first > last else state.first_at) > position.recorded_at:
        # no message is left from before, so it is unknown where the new messages began
        reset += f", and it is unknown which of those before sequence {first}, which are gone, were never read"
    return StartPoint(start, first, last, reset)


async def end_without_messages(client: Client, position: StreamPosition) -> StreamPosition | None:
    """The end of the stream, if all messages between the position and the end were removed.

    None if there are any, if the stream ends at the position, or if it is another stream. Raises Unavailable.
    """
    try:
        state = await _state(client, position.stream)
        if created(state.info) != position.created or state.last <= position.sequence:
            return None
        next_messages = await messages_after(client, position.stream, position.sequence, 1)
    except (TimeoutError, nats.errors.Error, APIError, OSError) as error:
        raise unavailable(error, client) from error
    if next_messages and next_messages[0].sequence <= state.last:
        return None
    # never before the messages that were read, even if the clock of NATS was set back
    return StreamPosition(position.stream, position.created, state.last, max(state.last_at, position.recorded_at))


def created(info: api.StreamInfo) -> str:
    """When the stream was created, which distinguishes it from others of its name."""
    return "" if info.created is None else info.created.isoformat()


async def _state(client: Client, stream: str) -> _State:
    # not read by nats-py, which leaves the times out
    reply = await client.request(api_subject(client, f"STREAM.INFO.{stream}"), timeout=SECONDS)
    answer = orjson.loads(reply.data)
    if "error" in answer:
        raise APIError.from_error(answer["error"])
    first, last = (max(0, moment.from_text(answer["state"][name])) for name in ("first_ts", "last_ts"))
    return _State(api.StreamInfo.from_response(answer), first, last)


async def _is_another(client: Client, position: StreamPosition) -> bool:
    """Whether the stream assigned sequences up to the position a second time."""
    if position.sequence == 0:
        return False
    message = await message_at(client, position.stream, position.sequence)
    if message is not None:
        return abs(message.recorded_at - position.recorded_at) > TOLERANCE
    # The message was removed, before or after it was read. A later message with a lower sequence is as good a sign.
    later = await first_since(client.jetstream(), position.stream, position.recorded_at + TOLERANCE)
    return later is not None and later <= position.sequence
