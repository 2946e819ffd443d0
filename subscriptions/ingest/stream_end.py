"""The end of a stream whose last messages were removed before they were read: the checkpoint steps over it."""

from typing import TypeVar

from nats.aio.client import Client

from eventscope.store.values.message import MessageBatch
from eventscope.store.write.writer import Writer
from eventscope.subscriptions.ingest.holes import hole_at_end, report
from eventscope.subscriptions.ingest.resume import end_without_messages
from eventscope.subscriptions.ingest.stream_reader import StreamReader

T = TypeVar("T")


async def step_over_end(writer: Writer, client: Client, reader: StreamReader[T], now: int) -> None:
    """Move the checkpoint to the end of the stream if no message is left before it, and record what was lost.

    This does not wait for the next message, which may be long in coming. `now` is in microseconds. Raises Unavailable,
    and what `append` raises.
    """
    position = writer.at.stream_position
    end = None if position is None else await end_without_messages(client, position)
    if position is None or end is None or not await reader.has_all():
        return
    lost = hole_at_end(writer.at, position, end, now)
    await writer.append(MessageBatch((), end, lost))
    if lost:
        report(lost)
