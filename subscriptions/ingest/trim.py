"""Trimming what would fill the disks: the stream, of what has lain in the log for long enough, and rejected messages.

A stream is a buffer, not a second log. What was stored stays there for a while all the same: a MongoDB restored from a
backup reads it again from its older checkpoint. What others still have to read, by durable consumers, stays too.
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
from eventscope.store.rejected import room
from eventscope.store.values import moment
from eventscope.store.values.message import StreamPosition
from eventscope.subscriptions.nats.holders import Holder, holders, needed

FULL: Final = 0.8  # of a limit: then room counts more than keeping
FORGOTTEN_SECONDS: Final = 5.0

logger = logging.getLogger(__name__)


class HoldObserver(Protocol):
    """Hears who keeps how much from being trimmed."""

    def __call__(self, holders: Sequence[Holder], before: int, info: api.StreamInfo, *, full: bool) -> None:
        """These consumers need messages before that sequence, which would go but for them."""
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
    """Take away messages before the place that is done, but those of the last hours; returns how many.

    The message at the place itself stays: by its timestamp the stream is recognized. So does what a durable consumer
    has not acknowledged, even in a stream that is full: its publishers are refused then, and `report` hears of whom.
    `shares_limit` says that the account has a limit for all of its streams.
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
        if holder.next < cut and (first := await needed(js, done.stream, holder)) < cut
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
    """Whether the stream is so near to a limit of its own that publishers are soon refused."""
    used = [(info.state.bytes, info.config.max_bytes), (info.state.messages, info.config.max_msgs)]
    return any(_is_near(have, most) for have, most in used)


async def _has_no_room(js: JetStreamContext, info: api.StreamInfo) -> bool:
    """Whether all that the account has is near to its limit."""
    account = await js.account_info()
    if info.config.storage is api.StorageType.MEMORY:
        return _is_near(account.memory, account.limits.max_memory)
    return _is_near(account.storage, account.limits.max_storage)


def _is_near(have: int, most: int | None) -> bool:
    return most is not None and most > 0 and have > most * FULL


async def bound_rejected(log: Log, most_bytes: int, seconds: float) -> bool:
    """Drop the oldest rejected messages while all take more than `most_bytes`, for so many seconds, and say so.

    True if all had room; until then, call it again.
    """
    try:
        trimmed = await room.trim(log, most_bytes, seconds)
    except EventscopeError as error:
        # ingest goes on, and the next time there is more to drop
        logger.warning("rejected messages are not held to %d bytes for now: %s", most_bytes, error)
        return False
    if trimmed is not None and trimmed.codes:
        said = ", ".join(f"{code} {n}" for code, n in trimmed.codes.items())
        logger.error(
            "rejected messages took more than %d bytes, so the oldest were dropped, up to number %d: %s",
            most_bytes,
            trimmed.through,
            said,
        )
    return trimmed is None


async def first_since(js: JetStreamContext, stream: str, since: int) -> int | None:
    """The sequence of the first message that came since then, in microseconds; None when none did."""
    # a consumer that starts at a time knows its sequence, and is not needed for anything else
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
    with suppress(NotFoundError):  # it was forgotten already
        await js.delete_consumer(stream, consumer.name)
    if consumer.num_pending == 0 or consumer.delivered is None:
        return None
    return consumer.delivered.stream_seq + 1
