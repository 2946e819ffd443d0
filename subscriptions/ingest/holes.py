"""Holes: sequences whose messages were gone from the stream before they were read. No I/O.

The reader passes on every message that the stream has, so where a sequence is skipped, JetStream has removed the
message: because of a limit, its age, or because somebody deleted it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.message import Lost, ParsedMessage, StreamPosition

MOST_LOGGED: Final = 10  # ranges in one log line

logger = logging.getLogger(__name__)


def holes(at: LogCheckpoint, position: StreamPosition, messages: Sequence[ParsedMessage], now: int) -> tuple[Lost, ...]:
    """What was lost between the position and the last of these messages, all of one stream."""
    if messages[-1].arrival.sequence - position.sequence == len(messages):
        return ()
    lost: list[Lost] = []
    for message in messages:
        arrival = message.arrival
        lost += _missing(at, position, arrival.sequence - 1, arrival.recorded_at, now)
        position = replace(position, sequence=arrival.sequence, recorded_at=arrival.recorded_at)
    return tuple(lost)


def hole_at_end(at: LogCheckpoint, position: StreamPosition, end: StreamPosition, now: int) -> tuple[Lost, ...]:
    """What was lost between the position and the end of the stream, which has no message after it."""
    lost = _missing(at, position, end.sequence, end.recorded_at, now)
    if not lost and end.recorded_at > at.read_before_at:
        # an empty stream that had lost its last messages: only its last message is certain to have come since
        return (Lost(position.stream, end.sequence, end.sequence, now),)
    return lost


def _missing(at: LogCheckpoint, position: StreamPosition, last: int, next_at: int, now: int) -> tuple[Lost, ...]:
    """The loss of the sequences after the position up to `last`, without what was read before the source was reset.

    `next_at` is when the message after them came, in microseconds.
    """
    first = position.sequence + 1
    # Sequences before a message that was there before the reset were read. Those before the first remaining message
    # may have been read too; that is unknown, and most likely trimming removed them.
    if next_at <= at.read_before_at or position.recorded_at == 0:
        first = max(first, at.read_before + 1)
    return (Lost(position.stream, first, last, now),) if first <= last else ()


def report(lost: Sequence[Lost]) -> None:
    """Log in one line what was lost."""
    ranges = ", ".join(f"{one.first} to {one.last}" for one in lost[:MOST_LOGGED])
    logger.error(
        "the stream %s lost %d messages before they were read: sequences %s%s",
        lost[0].stream,
        sum(one.count for one in lost),
        ranges,
        ", …" if len(lost) > MOST_LOGGED else "",
    )
