"""What ingest and the live feed tell of themselves to whoever counts. No I/O, and nobody here knows who that is.

Counting must never stop work or change its order, so observers are given to the workers guarded.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol

from eventscope.errors import log_unexpected
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import Stored


class IngestObserver(Protocol):
    """Hears what an ingester does."""

    def began(self, term: int) -> None:
        """It holds the lease, and reads from the checkpoint on. The term is another one if somebody held it between."""
        ...

    def stood_by(self) -> None:
        """Another ingester holds the lease."""
        ...

    def stored(self, outcome: Stored, messages: int, seconds: float) -> None:
        """So many messages were stored in that time, just now."""
        ...

    def source_reset(self) -> None:
        """The stream is another one than before, or has lost its tail."""
        ...

    def stopped(self, error: Exception) -> None:
        """It gave up for a moment, and begins anew."""
        ...

    def held(self, messages: Mapping[str, int]) -> None:
        """So many stored messages stay in the stream for each of these durable consumers, and for no other."""
        ...


class FeedObserver(Protocol):
    """Hears what arrives live and what is delivered."""

    def arrived(self, events: Sequence[EventDocument]) -> None:
        """These came live, just now."""
        ...

    def distrusted(self, reason: str) -> None:
        """A message came where live batches come that no ingester of this log has signed."""
        ...

    def delivered(self, events: int = 1) -> None:
        """So many times a follower was given an event."""
        ...

    def fanned_out(self, seconds: float) -> None:
        """One result was handed to all of a cohort in that time."""
        ...

    def dropped(self, reason: str) -> None:
        """A connection was closed, and not by the client."""
        ...


class Unobserved:
    """Nobody counts."""

    def began(self, term: int) -> None:
        """Not counted."""

    def stood_by(self) -> None:
        """Not counted."""

    def stored(self, outcome: Stored, messages: int, seconds: float) -> None:
        """Not counted."""

    def source_reset(self) -> None:
        """Not counted."""

    def stopped(self, error: Exception) -> None:
        """Not counted."""

    def held(self, messages: Mapping[str, int]) -> None:
        """Not counted."""

    def arrived(self, events: Sequence[EventDocument]) -> None:
        """Not counted."""

    def distrusted(self, reason: str) -> None:
        """Not counted."""

    def delivered(self, events: int = 1) -> None:
        """Not counted."""

    def fanned_out(self, seconds: float) -> None:
        """Not counted."""

    def dropped(self, reason: str) -> None:
        """Not counted."""


UNOBSERVED: Final = Unobserved()


class Guard:
    """A block in which an observer is called. What it raises is logged, each kind of error once, and dropped."""

    def __init__(self) -> None:
        self._logged: set[type[Exception]] = set()

    def __enter__(self) -> None:
        """Begin to tell."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Drop what was raised, unless it is not an error but an end, like a cancellation."""
        if not isinstance(error, Exception):
            return False
        if type(error) not in self._logged:
            self._logged.add(type(error))
            log_unexpected(error, "something is not counted; more errors of this kind are not logged")
        return True


class GuardedFeedObserver:
    """A FeedObserver that never raises."""

    def __init__(self, observer: FeedObserver) -> None:
        self._observer = observer
        self._guard = Guard()

    def arrived(self, events: Sequence[EventDocument]) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.arrived(events)

    def distrusted(self, reason: str) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.distrusted(reason)

    def delivered(self, events: int = 1) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.delivered(events)

    def fanned_out(self, seconds: float) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.fanned_out(seconds)

    def dropped(self, reason: str) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.dropped(reason)


class GuardedIngestObserver:
    """An IngestObserver that never raises."""

    def __init__(self, observer: IngestObserver) -> None:
        self._observer = observer
        self._guard = Guard()

    def began(self, term: int) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.began(term)

    def stood_by(self) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.stood_by()

    def stored(self, outcome: Stored, messages: int, seconds: float) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.stored(outcome, messages, seconds)

    def source_reset(self) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.source_reset()

    def stopped(self, error: Exception) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.stopped(error)

    def held(self, messages: Mapping[str, int]) -> None:
        """Hand it on."""
        with self._guard:
            self._observer.held(messages)
