"""How long a worker may keep silent before it is taken for stuck, on a machine that may be slow itself. No I/O."""

from dataclasses import dataclass
from typing import Final

START_SECONDS: Final = 60.0  # until the first answer: a process must be started, and its servers reached
SUSPENDED_SECONDS: Final = 2.0  # that we ourselves come late: nobody could answer meanwhile
FACTOR: Final = 20.0  # a process that has work to do waits longer for its turn than one that sleeps most of the time


@dataclass(slots=True)
class Patience:
    """With one worker, in one life of it. Times are of one clock that goes on by itself."""

    seconds: float
    since: float
    """When it last answered, or was started."""
    answered: bool = False
    late: float = 0.0
    """How much later than we wanted we ourselves were woken since then."""

    def hear(self, now: float) -> None:
        """It has answered."""
        self.since, self.late, self.answered = now, 0.0, True

    def miss(self, now: float, late: float) -> None:
        """It has not answered, and we were woken so much too late for this look."""
        if late > SUSPENDED_SECONDS:
            self.since, self.late = now, 0.0
        else:
            self.late += late

    def is_over(self, now: float) -> bool:
        """Whether it has kept silent for too long."""
        allowed = self.seconds if self.answered else max(self.seconds, START_SECONDS)
        return now - self.since > allowed + FACTOR * self.late
