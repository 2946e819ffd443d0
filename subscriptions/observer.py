"""What ingest and the live feed report about themselves, to be counted elsewhere. No I/O.

Counting must never stop work or change its order, so workers get observers that are guarded.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol

from eventscope.errors import log_unexpected
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import Stored


class IngestObserver(Protocol):
    """Callbacks of an ingester."""

    def on_start(self, term: int) -> None:
        """It holds the lease, and reads from the checkpoint on. If the term is new, another ingester held it before."""
        ...

    def on_standby(self) -> None:
        """Another ingester holds the lease."""
        ...

    def on_commit(self, outcome: Stored, messages: int, seconds: float) -> None:
        """`messages` were stored just now, in `seconds`."""
        ...

    def on_source_reset(self) -> None:
        """The stream was replaced, or has lost its last messages."""
        ...

    def on_stop(self, error: Exception) -> None:
        """The ingester stopped, and starts again after a pause."""
        ...

    def on_hold(self, messages: Mapping[str, int]) -> None:
        """How many stored messages stay in the stream for each durable consumer that still needs them."""
        ...


class FeedObserver(Protocol):
    """Callbacks for what arrives live and what is delivered."""

    def on_arrival(self, events: Sequence[EventDocument]) -> None:
        """These events came live, just now."""
        ...

    def on_distrust(self, reason: str) -> None:
        """A message on the subject of live batches was dropped: no ingester of this log signed it."""
        ...

    def on_delivery(self, events: int = 1) -> None:
        """Events were sent; each is counted once for each subscriber."""
        ...

    def on_fan_out(self, seconds: float) -> None:
        """One result was sent to all subscribers of a cohort, in `seconds`."""
        ...

    def on_drop(self, reason: str) -> None:
        """The server closed a connection."""
        ...


class Unobserved:
    """Counts nothing."""

    def on_start(self, term: int) -> None:
        """Not counted."""

    def on_standby(self) -> None:
        """Not counted."""

    def on_commit(self, outcome: Stored, messages: int, seconds: float) -> None:
        """Not counted."""

    def on_source_reset(self) -> None:
        """Not counted."""

    def on_stop(self, error: Exception) -> None:
        """Not counted."""

    def on_hold(self, messages: Mapping[str, int]) -> None:
        """Not counted."""

    def on_arrival(self, events: Sequence[EventDocument]) -> None:
        """Not counted."""

    def on_distrust(self, reason: str) -> None:
        """Not counted."""

    def on_delivery(self, events: int = 1) -> None:
        """Not counted."""

    def on_fan_out(self, seconds: float) -> None:
        """Not counted."""

    def on_drop(self, reason: str) -> None:
        """Not counted."""


UNOBSERVED: Final = Unobserved()


class Guard:
    """A block in which an observer is called. Its exceptions are dropped, and each class of them is logged once."""

    def __init__(self) -> None:
        self._classes: set[type[Exception]] = set()

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Drop an error, but not what ends a task, like a cancellation."""
        if not isinstance(error, Exception):
            return False
        if type(error) not in self._classes:
            self._classes.add(type(error))
            log_unexpected(error, "metrics are incomplete; further errors of this class are not logged")
        return True


class GuardedFeedObserver:
    """A FeedObserver that never raises."""

    def __init__(self, observer: FeedObserver) -> None:
        self._observer = observer
        self._guard = Guard()

    def on_arrival(self, events: Sequence[EventDocument]) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_arrival(events)

    def on_distrust(self, reason: str) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_distrust(reason)

    def on_delivery(self, events: int = 1) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_delivery(events)

    def on_fan_out(self, seconds: float) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_fan_out(seconds)

    def on_drop(self, reason: str) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_drop(reason)


class GuardedIngestObserver:
    """An IngestObserver that never raises."""

    def __init__(self, observer: IngestObserver) -> None:
        self._observer = observer
        self._guard = Guard()

    def on_start(self, term: int) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_start(term)

    def on_standby(self) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_standby()

    def on_commit(self, outcome: Stored, messages: int, seconds: float) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_commit(outcome, messages, seconds)

    def on_source_reset(self) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_source_reset()

    def on_stop(self, error: Exception) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_stop(error)

    def on_hold(self, messages: Mapping[str, int]) -> None:
        """Pass it on."""
        with self._guard:
            self._observer.on_hold(messages)
