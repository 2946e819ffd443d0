"""Where to start reading a stream, and whether it is still the stream that the checkpoint speaks of."""

from dataclasses import dataclass

import nats.errors
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError

from eventscope.store.message import Place
from eventscope.subscriptions.single import message_at
from eventscope.subscriptions.stream import unavailable


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stream is read from.

    Reading starts after `place`; `first` is the first sequence that the stream has, or will give if it is empty.
    `reset` says what happened to the stream if it must be read from its start, and is None if nothing did.
    """

    place: Place
    first: int
    reset: str | None = None


async def start_of(client: Client, stream: str, place: Place | None) -> Origin:
    """Where to read the stream, given the place that the checkpoint names.

    A stream that was made anew, or lost its tail (JetStream syncs every two minutes by default) and gives sequences a
    second time, would otherwise be read from a place that means nothing in it. What is known is dropped by messageId.
    """
    try:
        info = await client.jetstream().stream_info(stream)
        first = max(1, info.state.first_seq)
        # what a stream gave away before it was ever read by this log is nothing that this log has lost
        unread = Place(stream, created(info), first - 1, 0)
        if place is None:
            return Origin(unread, first)
        if place.stream != stream:
            return Origin(unread, first, f"is read in the place of {place.stream}")
        start = Place(stream, created(info), max(1, info.config.first_seq or 1) - 1, 0)
        if place.created != start.created:
            return Origin(start, first, f"was made anew (created {start.created}, before {place.created})")
        if info.state.last_seq < place.sequence:
            last = info.state.last_seq
            return Origin(start, first, f"has lost its tail (last sequence {last}, read up to {place.sequence})")
        if not await _is_there(client, place):
            return Origin(start, first, f"has another message at sequence {place.sequence}")
    except (TimeoutError, nats.errors.Error, APIError, OSError) as error:
        raise unavailable(error) from error
    return Origin(place, first)


def created(info: api.StreamInfo) -> str:
    """When the stream was made: what tells it from others of its name."""
    return "" if info.created is None else info.created.isoformat()


async def _is_there(client: Client, place: Place) -> bool:
    if place.recorded_at == 0:  # no message was read there
        return True
    message = await message_at(client, place.stream, place.sequence)
    # one that was trimmed says nothing
    return message is None or abs(message.recorded_at - place.recorded_at) <= 1000
