"""A limit of steps for work whose amount is decided by other people's values. No I/O."""

from typing import Final

STEPS: Final = 100_000  # of 0.1 to 0.4 µs each


class TooMuch(Exception):
    """The work takes more steps than it may. MongoDB has to do it, where time is bounded."""


class Effort:
    """The steps that may still be taken."""

    __slots__ = ("steps",)

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Count steps before they are taken; TooMuch when fewer are left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch
