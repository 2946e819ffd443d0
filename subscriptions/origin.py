"""Where to start reading a stream, and whether it is still the stream that the checkpoint speaks of."""

import nats.errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from eventscope.errors import Unavailable
from eventscope.store import moment
from eventscope.store.message import Place


async def start_of(js: JetStreamContext, stream: str, place: Place | None) -> tuple[Place, str | None]:
    """The place after which to read, and what happened to the stream if it must be read from its start.

    A stream that was made anew, or lost its tail (JetStream syncs every two minutes by default) and gives sequences a
    second time, would otherwise be read from a place that means nothing in it. What is known is dropped by messageId.
    """
    try:
        info = await js.stream_info(stream)
        start = Place(stream, created(info), 0, 0)
        if place is None:
            return start, None
        if place.stream != stream:
            return start, f"is read in the place of {place.stream}"
        if place.created != start.created:
            return start, f"was made anew (created {start.created}, before {place.created})"
        if info.state.last_seq < place.sequence:
            return start, f"has lost its tail (last sequence {info.state.last_seq}, read up to {place.sequence})"
        if not await _is_there(js, place):
            return start, f"has another message at sequence {place.sequence}"
    except (TimeoutError, nats.errors.Error, APIError, OSError) as error:
        raise Unavailable(f"NATS does not answer now ({type(error).__name__})") from error
    return place, None


def created(info: api.StreamInfo) -> str:
    """When the stream was made: what tells it from others of its name."""
    return "" if info.created is None else info.created.isoformat()


async def _is_there(js: JetStreamContext, place: Place) -> bool:
    if place.sequence == 0:
        return True
    try:
        message = await js.get_msg(place.stream, place.sequence)
    except NotFoundError:
        return True  # trimmed, which says nothing
    return message.time is None or abs(moment.of(message.time) - place.recorded_at) <= 1000
