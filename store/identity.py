"""Which log this is, as far as this process has seen. No I/O.

A log is given a random name when it is made, and keeps it for ever, also in a backup. One that is begun anew where it
was has another, so what was noted of places in the first means nothing in the second.
"""

from dataclasses import dataclass
from typing import Final

MOST: Final = 6  # of its characters: by chance two logs have the same of one in 16 million


@dataclass(slots=True)
class LogIdentity:
    """The name of a log, None while it has none. It is not `known` before the checkpoint was read once."""

    name: str | None = None
    known: bool = False
    _last: str | None = None

    @property
    def tag(self) -> str | None:
        """The beginning of the name, by which cursors are told from those of another log."""
        return None if self.name is None else self.name[:MOST]

    def see(self, name: str | None) -> bool:
        """Take in what the checkpoint says; tells whether this is another log than the one seen before."""
        before, self.name, self.known = self._last, name, True
        self._last = name or before
        return name is not None and before is not None and name != before
