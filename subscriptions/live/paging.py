"""How many events a page of history has: few if they are large, so that a page takes bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from eventscope.store.values.documents import EventDocument

MOST: Final = 200
MOST_BYTES: Final = 1024**2
FIRST: Final = 5  # while the size of events is unknown: each may have 1 MiB
GROWTH: Final = 8  # from one page to the next: the next events may be larger again


@dataclass(slots=True)
class Paging:
    """The page size of one reader, adapted to the events that it reads."""

    limit: int = FIRST
    """How many events the next page may have."""
    most: int = MOST
    """How many any page may have."""

    def learn(self, events: Sequence[EventDocument]) -> None:
        """Expect the next events to be as large as these."""
        if events:
            average = max(1, sum(map(size, events)) // len(events))
            self.limit = max(1, min(self.most, GROWTH * self.limit, MOST_BYTES // average))


def size(event: EventDocument) -> int:
    """Bytes of the event, written as JSON."""
    return len(orjson.dumps(event, default=str))
