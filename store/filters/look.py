"""One event as filters look at it: what its paths reach is found once, and no filter looks at more than it may. No I/O.

How many values an event has is for its publisher to say, and how often each is tested for a client to say. Both are
within limits of their own, but not the one times the other.
"""

from typing import Any, Final

from eventscope.store.filters.effort import STEPS, Effort, TooMuch
from eventscope.store.filters.paths import Path, reached, spread
from eventscope.store.values.documents import EventDocument

LETTERS: Final = 64  # of a text, that are as much work as a value


class Inspection(Effort):
    """An event, and how many steps may still be taken to find out which filters mean it."""

    __slots__ = ("_reached", "_values", "event")

    def __init__(self, event: EventDocument, steps: int = STEPS) -> None:
        super().__init__(steps)
        self.event = event
        self._reached: dict[Path, list[Any] | None] = {}
        self._values: dict[Path, tuple[list[Any], int]] = {}

    def reached(self, path: Path) -> list[Any]:
        """The values at the end of the path; TooMuch when there are too many on the way."""
        if path in self._reached:
            found = self._reached[path]
        else:
            self._reached[path] = None  # what is too much for one filter is too much for the next one
            found = self._reached[path] = reached(self.event, path, self.spend)
        if found is None:
            raise TooMuch
        return found

    def values(self, path: Path) -> tuple[list[Any], int]:
        """What tests of the path are made of, and how many steps one test of all of it takes."""
        known = self._values.get(path)
        if known is None:
            found = spread(self.reached(path), self.spend)
            letters = sum(len(value) for value in found if isinstance(value, str))
            known = self._values[path] = (found, len(found) + letters // LETTERS)
        return known
