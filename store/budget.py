"""How many bytes one operation may read of the log, whatever it is made of and however much of it runs at once."""

import asyncio
import math
from typing import Final

from eventscope.errors import TooComplex

AT_ONCE: Final = 4  # reads of one operation, of up to 16 MiB each, that are in memory and not yet counted
LARGE: Final = 1024**2


class Budget:
    """So many bytes. What is read without a bound has one that never ends."""

    def __init__(self, most: float = math.inf, at_once: int = AT_ONCE) -> None:
        self.spent = 0
        self.reading = asyncio.Semaphore(at_once)
        """Held while something is read that may be large, until it is counted and made into documents."""
        self._most = most

    @property
    def is_large(self) -> bool:
        """Whether so much was read that writing it out takes time."""
        return self.spent > LARGE

    def spend(self, size: int) -> None:
        """Count so many bytes as read; TooComplex when they are more than may be."""
        self.spent += size
        if self.spent > self._most:
            raise TooComplex(
                f"the operation reads over {self._most:.0f} bytes; ask for smaller pages, or for fewer fields"
            )


UNBOUNDED: Final = Budget(at_once=2**31)
