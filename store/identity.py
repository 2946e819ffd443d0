"""Which log this is, as far as this process knows. No I/O.

A log gets a random name when it is created, and keeps it for ever, also in backups. A new log in its place has another
name, so positions remembered from the old log mean nothing in the new one.
"""

from dataclasses import dataclass
from typing import Final

MOST: Final = 6  # characters of the name: the chance that two logs share them is one in 16 million


@dataclass(slots=True)
class LogIdentity:
    """The name of a log; None while it has none. `is_known` is True once the checkpoint has been read."""

    name: str | None = None
    is_known: bool = False
    _last: str | None = None

    @property
    def tag(self) -> str | None:
        """The beginning of the name, which distinguishes cursors from those of other logs."""
        return None if self.name is None else self.name[:MOST]

    def see(self, name: str | None) -> bool:
        """Take over the name that the checkpoint has. Returns whether this is another log than before."""
        before, self.name, self.is_known = self._last, name, True
        self._last = name or before
        return name is not None and before is not None and name != before
