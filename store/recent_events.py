"""The newest events of the log in memory, so that pages of them need not be read from MongoDB. No I/O.

They are all unexpired events at positions above `floor` up to `head`, exactly as in the log.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Final

from eventscope.store.filters.filter import Filter, conditions, matcher, matching
from eventscope.store.filters.mongo import bson_date
from eventscope.store.filters.step_limit import TooManySteps
from eventscope.store.values.documents import EventDocument

MOST_BYTES: Final = 8 * 1024**2  # of events as JSON; as objects they take several times that
SEARCH_FACTOR: Final = 4  # events that may be searched per event requested: if fewer match, an index is faster

_position = itemgetter("_id")


class RecentEvents:
    """At most `most` events. While `head`, the end of the log, is None, there are no pages."""

    def __init__(self, most: int, most_bytes: int = MOST_BYTES) -> None:
        self.head: int | None = None
        self.floor = 0
        self._most = most
        self._most_bytes = most_bytes
        self._events: list[EventDocument] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._expires = datetime.max  # the earliest expiry of all events that were ever here

    def __len__(self) -> int:
        return len(self._events)

    @property
    def has_room_for_older(self) -> bool:
        """Whether older events of the log should be added."""
        room = len(self._events) < self._most // 2 and self._bytes < self._most_bytes // 2
        return self.head is not None and self.floor > 0 and room

    def restart(self, head: int | None) -> None:
        """Forget all events. The log ends at `head`; None if its end is unknown."""
        self.head, self.floor = head, head or 0
        self._events, self._sizes, self._bytes, self._expires = [], [], 0, datetime.max

    def add(self, previous: int, events: Sequence[EventDocument], head: int, size: int) -> None:
        """Add events that were just stored, `size` bytes in total: those after `previous`, up to the new head."""
        if self.head is not None and head < self.head and not events:
            self.restart(None)  # it may be another log; `keep_recent_events` reads where it ends
            return
        if self.head is None or previous > self.head:
            self.restart(previous)  # a batch was missed: memory must have no gap, so it restarts after the missed batch
        before = self.head or 0
        fresh = [event for event in events if event["_id"] > before]  # a batch may come twice
        self._events += fresh
        self._measure(fresh, len(self._sizes), size // max(1, len(events)))
        self.head = max(before, head)
        self._shrink()

    def extend(self, floor: int, events: Sequence[EventDocument], size: int, *, whole: bool) -> None:
        """Add the events next below `floor`, newest first; `whole` says that the log has none below these.

        Does nothing if `floor` has changed meanwhile.
        """
        if floor != self.floor or self.head is None:
            return
        self._events[:0] = reversed(events)
        self._measure(events, 0, size // max(1, len(events)))
        self.floor = 0 if whole else events[-1]["_id"] - 1
        self._shrink()

    def page(
        self,
        filter: Filter,
        *,
        limit: int,
        above: int | None,
        below: int | None,
        newest_first: bool,
        now: int,
    ) -> list[EventDocument] | None:
        """The page as `pages.page` returns it while the log ends at `head`; None if memory cannot tell."""
        if self.head is None or (not newest_first and (0 if above is None else above) < self.floor):
            return None
        low = 0 if above is None else bisect_right(self._events, above, key=_position)
        high = len(self._events) if below is None else bisect_left(self._events, below, key=_position)
        today = bson_date(now)
        is_plain = not conditions(filter) and today < self._expires
        count = limit if is_plain else SEARCH_FACTOR * limit
        if newest_first:
            candidates = self._events[max(low, high - count) : max(low, high)][::-1]
        else:
            candidates = self._events[low : min(high, low + count)]
        try:
            events = candidates if is_plain else self._matching(candidates, filter, limit, today)
        except TooManySteps:
            return None
        is_complete = len(candidates) >= high - low and (
            not newest_first or (0 if above is None else above) >= self.floor
        )
        return events if is_complete or len(events) == limit else None

    def size(self, events: Sequence[EventDocument]) -> int:
        """About how many bytes these events have; all of them must be in memory here."""
        if not self._events or not events:
            return 0
        ends = [self._index(event) for event in (events[0], events[-1])]
        low, high = min(ends), max(ends)
        if high - low + 1 == len(events):  # nearly always: no other events lie between them
            return sum(self._sizes[low : high + 1])
        return sum(self._sizes[self._index(event)] for event in events)

    def _index(self, event: EventDocument) -> int:
        first, last = self._events[0]["_id"], len(self._events) - 1
        index: int = event["_id"] - first
        # positions are dense, so nearly always an event is as far from the first as its position says
        if 0 <= index <= last and self._events[index] is event:
            return index
        return min(bisect_left(self._events, event["_id"], key=_position), last)

    def _matching(self, row: list[EventDocument], filter: Filter, limit: int, today: datetime) -> list[EventDocument]:
        if today >= self._expires:
            row = [event for event in row if "expireAt" not in event or event["expireAt"] > today]
        if not conditions(filter):
            return row[:limit]
        return list(islice(matching(matcher(filter), row), limit))

    def _measure(self, events: Sequence[EventDocument], at: int, size: int) -> None:
        self._sizes[at:at] = [size] * len(events)
        self._bytes += size * len(events)
        for event in events:
            if "expireAt" in event and event["expireAt"] < self._expires:
                self._expires = event["expireAt"]

    def _shrink(self) -> None:
        count = 0
        while len(self._events) - count > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._sizes[count]
            count += 1
        if count:
            self.floor = self._events[count - 1]["_id"]
            del self._events[:count], self._sizes[:count]
