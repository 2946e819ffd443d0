"""How long a worker may stay silent before it counts as stuck, on a machine that may itself be slow. No I/O."""

from dataclasses import dataclass
from typing import Final

START_SECONDS: Final = 60.0  # until the first answer: the process has to start and to reach its servers
SUSPENDED_SECONDS: Final = 2.0  # we wake this late only if the machine stood still, and the workers with it
FACTOR: Final = 20.0  # on a busy machine, a busy worker waits longer for its turn than we, who mostly sleep


@dataclass(slots=True)
class Patience:
    """Patience with one process of a worker. All times are in seconds by one monotonic clock."""

    seconds: float
    since: float
    """When the worker last answered, or was started."""
    has_answered: bool = False
    late: float = 0.0
    """By how many seconds in total we ourselves have woken too late since then."""

    def hear(self, now: float) -> None:
        """Record an answer."""
        self.since, self.late, self.has_answered = now, 0.0, True

    def miss(self, now: float, late: float) -> None:
        """Record that no answer came to a probe for which we woke `late` seconds too late."""
        if late > SUSPENDED_SECONDS:
            self.since, self.late = now, 0.0
        else:
            self.late += late

    def is_over(self, now: float) -> bool:
        """Whether the worker has been silent for too long."""
        limit = self.seconds if self.has_answered else max(self.seconds, START_SECONDS)
        return now - self.since > limit + FACTOR * self.late
