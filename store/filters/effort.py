"""How many steps may be taken in one go, where somebody else's values decide how many there are to take. No I/O."""

from typing import Final

STEPS: Final = 100_000  # of 0.1 to 0.4 µs each


class TooMuch(Exception):
    """It takes more steps than may be taken here: the log is asked instead, where time is bounded."""


class Effort:
    """So many steps that may still be taken."""

    __slots__ = ("steps",)

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps

    def spend(self, steps: int) -> None:
        """Count so many steps before they are taken; TooMuch when they are more than are left."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch
