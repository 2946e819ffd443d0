"""Holes: sequences of a stream that hold no message any more when they are read. No I/O.

The reader passes on every message that the stream has, so where the next one is not the next number, JetStream removed
what was there: for a limit, for its age, or because somebody deleted it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from eventscope.store.state.checkpoint import LogCheckpoint
from eventscope.store.values.message import Lost, ParsedMessage, StreamPosition

SHOWN: Final = 10  # ranges in a line of the log

logger = logging.getLogger(__name__)


def holes(at: LogCheckpoint, place: StreamPosition, messages: Sequence[ParsedMessage], now: int) -> tuple[Lost, ...]:
    """What was lost between the place of the checkpoint and the last of these messages of the same stream."""
    if messages[-1].arrival.sequence - place.sequence == len(messages):
        return ()
    found: list[Lost] = []
    for message in messages:
        arrival = message.arrival
        found += _missing(at, place, arrival.sequence - 1, arrival.recorded_at, now)
        place = replace(place, sequence=arrival.sequence, recorded_at=arrival.recorded_at)
    return tuple(found)


def hole_at_end(at: LogCheckpoint, place: StreamPosition, end: StreamPosition, now: int) -> tuple[Lost, ...]:
    """What was lost between the place of the checkpoint and the end of the stream, where no message is left."""
    lost = _missing(at, place, end.sequence, end.recorded_at, now)
    if not lost and end.recorded_at > at.read_before_at:
        # of an empty stream that had lost its tail, only this one is certain to have come since
        return (Lost(place.stream, end.sequence, end.sequence, now),)
    return lost


def _missing(at: LogCheckpoint, place: StreamPosition, last: int, next_at: int, now: int) -> tuple[Lost, ...]:
    """The loss of the sequences after the place up to `last`, without what was read before the source was reset.

    `next_at` is when the message came that is next to them.
    """
    first = place.sequence + 1
    # Sequences before a message that was there before the reset were read. So may be all before the first message that
    # is left; nothing tells, and then it was most likely trimming that removed them.
    if next_at <= at.read_before_at or place.recorded_at == 0:
        first = max(first, at.read_before + 1)
    return (Lost(place.stream, first, last, now),) if first <= last else ()


def report(lost: Sequence[Lost]) -> None:
    """Say in one line of the log what was lost."""
    ranges = ", ".join(f"{one.first} to {one.last}" for one in lost[:SHOWN])
    logger.error(
        "the stream %s lost %d messages before they were read: sequences %s%s",
        lost[0].stream,
        sum(one.count for one in lost),
        ranges,
        ", …" if len(lost) > SHOWN else "",
    )
