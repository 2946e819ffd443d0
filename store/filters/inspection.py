"""One event as filters inspect it: the values at each path are looked up once, within a limit of steps. No I/O.

The publisher decides how many values an event has, and the client how often each is tested. Each number has a limit of
its own, but their product has none; so the steps are counted.
"""

from typing import Any, Final

from eventscope.store.filters.paths import Path, spread, values_at
from eventscope.store.filters.step_limit import STEPS, StepLimit, TooManySteps
from eventscope.store.values.documents import EventDocument

LETTERS: Final = 64  # characters of a text that count as one step


class Inspection(StepLimit):
    """An event, and the steps that are left to find out which filters match it."""

    __slots__ = ("_ends", "_values", "event")

    def __init__(self, event: EventDocument, steps: int = STEPS) -> None:
        super().__init__(steps)
        self.event = event
        self._ends: dict[Path, list[Any] | None] = {}
        self._values: dict[Path, tuple[list[Any], int]] = {}

    def values_at(self, path: Path) -> list[Any]:
        """The values at the end of the path; TooManySteps when there are too many along it."""
        if path in self._ends:
            values = self._ends[path]
        else:
            self._ends[path] = None  # if it is too much for one filter, the next one need not try
            values = self._ends[path] = values_at(self.event, path, self.spend)
        if values is None:
            raise TooManySteps
        return values

    def values(self, path: Path) -> tuple[list[Any], int]:
        """The values that tests of the path apply to, and how many steps one test of all of them takes."""
        entry = self._values.get(path)
        if entry is None:
            values = spread(self.values_at(path), self.spend)
            letters = sum(len(value) for value in values if isinstance(value, str))
            entry = self._values[path] = (values, len(values) + letters // LETTERS)
        return entry
