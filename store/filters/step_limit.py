"""A limit on the steps of work whose amount depends on other people's values. No I/O."""

from typing import Final

STEPS: Final = 100_000  # of 0.1 to 0.4 µs each


class TooManySteps(Exception):
    """The work would exceed its limit of steps. MongoDB has to do it, where time is limited."""


class StepLimit:
    """Counts down the steps that are left."""

    __slots__ = ("steps",)

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Count steps before they are taken; raises TooManySteps if fewer are left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooManySteps
