"""Trimming what would fill the disks: messages that have been in the log for long enough, and rejected messages.

A stream is a buffer, not a second log. Stored messages stay there for a while, so that a MongoDB restored from a backup
can read them again from its older checkpoint. Messages that durable consumers still have to read stay too.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from eventscope.errors import EventscopeError
from eventscope.store.log import Log
from eventscope.store.rejected import quota
from eventscope.store.values import moment
from eventscope.store.values.message import StreamPosition
from eventscope.subscriptions.nats.holders import Holder, first_needed, holders

FULL: Final = 0.8  # of a limit: beyond it, stored messages are no longer kept for later
FORGOTTEN_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class HoldObserver(Protocol):
    """Is called with the consumers for which messages stay."""

    def __call__(self, holders: Sequence[Holder], before: int, info: api.StreamInfo, *, full: bool) -> None:
        """These consumers need messages before that sequence, which would be trimmed otherwise."""
        ...


async def trim(
    js: JetStreamContext,
    done: StreamPosition,
    keep_hours: float,
    now: int,
    report: HoldObserver | None = None,
    *,
    shares_limit: bool = False,
) -> int:
    """Remove messages before the position `done`, except those of the last `keep_hours`; returns how many.

    The message at the position itself stays, since its timestamp identifies the stream. So does what a durable consumer
    has not acknowledged, even in a full stream: its publishers are then refused, and `report` gets the consumers.
    `now` is in microseconds; `shares_limit` says that the account has a limit for all of its streams.
    """
    info = await js.stream_info(done.stream)
    state, cut = info.state, done.sequence
    full = _is_full(info) or (shares_limit and await _has_no_room(js, info))
    if not full:
        kept_from = await first_since(js, done.stream, now - int(keep_hours * moment.HOUR))
        cut = cut if kept_from is None else min(cut, kept_from)
    holding = [
        replace(holder, next=first)
        for holder in await holders(js, done.stream)
        if holder.next < cut and (first := await first_needed(js, done.stream, holder)) < cut
    ]
    if report is not None:
        report(holding, cut, info, full=full)
    cut = min([cut, *(holder.next for holder in holding)])
    if cut <= state.first_seq:
        return 0
    await js.purge_stream(done.stream, seq=cut)
    logger.info("trimmed the stream %s up to sequence %d", done.stream, cut - 1)
    return cut - state.first_seq


def _is_full(info: api.StreamInfo) -> bool:
    """Whether the stream is so near a limit of its own that it will soon refuse publishers."""
    usage = [(info.state.bytes, info.config.max_bytes), (info.state.messages, info.config.max_msgs)]
    return any(_is_near(amount, limit) for amount, limit in usage)


async def _has_no_room(js: JetStreamContext, info: api.StreamInfo) -> bool:
    """Whether all streams of the account together are near its limit."""
    account = await js.account_info()
    if info.config.storage is api.StorageType.MEMORY:
        return _is_near(account.memory, account.limits.max_memory)
    return _is_near(account.storage, account.limits.max_storage)


def _is_near(amount: int, limit: int | None) -> bool:
    return limit is not None and limit > 0 and amount > limit * FULL


async def bound_rejected(log: Log, most_bytes: int, seconds: float) -> bool:
    """Drop and log the oldest rejected messages while together they take more than `most_bytes`, for at most `seconds`.

    True once all have room; until then, call it again.
    """
    try:
        trim = await quota.trim(log, most_bytes, seconds)
    except EventscopeError as error:
        # ingest goes on; the next call drops more
        logger.warning("rejected messages cannot be limited to %d bytes for now: %s", most_bytes, error)
        return False
    if trim is not None and trim.codes:
        counts = ", ".join(f"{code} {n}" for code, n in trim.codes.items())
        logger.error(
            "rejected messages took more than %d bytes, so the oldest were dropped, up to number %d: %s",
            most_bytes,
            trim.through,
            counts,
        )
    return trim is None


async def first_since(js: JetStreamContext, stream: str, since: int) -> int | None:
    """The sequence of the first message since that time, in microseconds; None if there is none."""
    # a consumer that starts at that time reports the sequence; it serves no other purpose
    consumer = await js.add_consumer(
        stream,
        api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=moment.to_datetime(since),
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=FORGOTTEN_SECONDS,
            mem_storage=True,
            num_replicas=1,
        ),
    )
    with suppress(NotFoundError):  # the server has removed it already
        await js.delete_consumer(stream, consumer.name)
    if consumer.num_pending == 0 or consumer.delivered is None:
        return None
    return consumer.delivered.stream_seq + 1
