"""How many of the messages that were read are stored in one transaction. No I/O."""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventscope.errors import TooLargeTogether, Unstorable
from eventscope.store.values.message import MessageGroup, ParsedMessage

MEMBER_BYTES: Final = 11  # what BSON adds to a short value in a list: its type, its index as text, and an int's bytes
EVENT_BYTES: Final = 400  # of an event without content
LIMITED_SECONDS: Final = 600.0  # how long transactions stay smaller after one was too large

logger = logging.getLogger(__name__)


def stored_bytes(message: ParsedMessage) -> int:
    """About how many bytes of BSON the message makes: for a list of short numbers, six times as many as its JSON has.

    In a group, each event counts with its overhead and with what came in the headers or subject for all of them.
    """
    arrival = message.arrival
    size = len(arrival.subject) + len(arrival.raw) + MEMBER_BYTES * arrival.raw.count(b",")
    for name, value in arrival.headers.items():
        size += len(name) + len(value)
    if isinstance(message, MessageGroup):
        size += sum(EVENT_BYTES + one.beside_bytes for one in message.messages)
    return size


@dataclass(slots=True)
class Portions:
    """At most `batch` events, and fewer after a failure: MongoDB may be too slow for more, or lack the memory."""

    batch: int
    most: int = field(init=False)
    """How many events a transaction may have now."""
    _limit: int = sys.maxsize  # bytes of one transaction; lowered only after one was too large
    _limited_until: float = 0.0

    def __post_init__(self) -> None:
        """Start with whole batches."""
        self.most = self.batch

    @property
    def share(self) -> float:
        """The present size of a transaction as a share of `batch`."""
        return self.most / self.batch

    def of(self, messages: Sequence[ParsedMessage]) -> Iterator[Sequence[ParsedMessage]]:
        """The messages in portions; a message that is too large makes a portion of its own.

        A limit that changes while one portion is stored applies to the next.
        """
        portion: list[ParsedMessage] = []
        events = size = 0
        for message in messages:
            more = len(message.messages) if isinstance(message, MessageGroup) else 1
            if portion and (events + more > self.most or size + self._weight(message) > self._limit):
                yield portion
                portion, events, size = [], 0, 0
            portion.append(message)
            events += more
            size += self._weight(message)  # again, since the limit may have changed
        if portion:
            yield portion

    def _weight(self, message: ParsedMessage) -> int:
        return 0 if self._limit == sys.maxsize else stored_bytes(message)

    def after(
        self, error: Unstorable, messages: Sequence[ParsedMessage], now: float
    ) -> Iterator[Sequence[ParsedMessage]]:
        """The parts to store in turn, after MongoDB has refused the messages together."""
        if isinstance(error, TooLargeTogether):
            size = sum(stored_bytes(message) for message in messages)
            logger.warning("%d messages are too large for one transaction; smaller ones follow", len(messages))
            self._limit, self._limited_until = size // 2, now + LIMITED_SECONDS
            return self.of(messages)
        half = len(messages) // 2
        return iter((messages[:half], messages[half:]))

    def shrink(self) -> None:
        """Go on with fewer events at a time: ingest has stopped."""
        self.most = max(1, self.most // 4)

    def grow(self, now: float) -> None:
        """Allow more again: a transaction succeeded."""
        self.most = min(self.batch, 2 * self.most)
        if now >= self._limited_until:
            self._limit = sys.maxsize
