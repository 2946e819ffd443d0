"""What ingest and the live feed tell of themselves to whoever counts. No I/O, and nobody here knows who that is."""

from collections.abc import Sequence
from typing import Final, Protocol

from eventscope.store.documents import Event
from eventscope.store.message import Stored


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


class FeedObserver(Protocol):
    """Hears what arrives live and what is delivered."""

    def arrived(self, events: Sequence[Event]) -> None:
        """These came live, just now."""
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

    def arrived(self, events: Sequence[Event]) -> None:
        """Not counted."""

    def delivered(self, events: int = 1) -> None:
        """Not counted."""

    def fanned_out(self, seconds: float) -> None:
        """Not counted."""

    def dropped(self, reason: str) -> None:
        """Not counted."""


UNOBSERVED: Final = Unobserved()
