"""Holes: sequences of a stream that hold no message any more when they are read. No I/O.

The reader passes on every message that the stream has, so where the next one is not the next number, JetStream removed
what was there: for a limit, for its age, or because somebody deleted it.
"""

import logging
from collections.abc import Sequence
from typing import Final

from eventscope.store.checkpoint import Checkpoint
from eventscope.store.message import Lost, Message, Place

SHOWN: Final = 10  # ranges in a line of the log

logger = logging.getLogger(__name__)


def holes(at: Checkpoint, place: Place, messages: Sequence[Message], now: int) -> tuple[Lost, ...]:
    """What was lost between the place of the checkpoint and the last of these messages of the same stream."""
    before = place.sequence
    if messages[-1].arrival.sequence - before == len(messages):
        return ()
    found: list[Lost] = []
    for message in messages:
        sequence = message.arrival.sequence
        found += missing(at, place.stream, before + 1, sequence - 1, now)
        before = sequence
    return tuple(found)


def missing(at: Checkpoint, stream: str, first: int, last: int, now: int) -> tuple[Lost, ...]:
    """The loss of these sequences, but for those that were read before the stream was read from its start again."""
    first = max(first, at.read_before + 1)
    return (Lost(stream, first, last, now),) if first <= last else ()


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
