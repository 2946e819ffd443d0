"""Findings of `eventscope doctor`: what was checked, its state, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from eventscope.redact import redacted_text


class Level(IntEnum):
    """Severity. The doctor's exit code is 1 if the worst finding is a WARNING, and 2 if it is BROKEN."""

    OK = 0
    NOTE = 1  # worth knowing; nothing to do
    WARNING = 2  # it works, but a guarantee may not hold
    BROKEN = 3  # it does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; `advice` is empty if there is nothing to do."""

    check: str
    level: Level
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        """Redact secrets in `found`, which quotes servers and settings."""
        object.__setattr__(self, "found", redacted_text(self.found))

    @property
    def data(self) -> dict[str, str]:
        """The finding as JSON, for programs."""
        return {"check": self.check, "level": self.level.name.lower(), "found": self.found, "advice": self.advice}


def ok(check: str, found: str) -> Finding:
    """A finding without a problem."""
    return Finding(check, Level.OK, found)


def note(check: str, found: str, advice: str = "") -> Finding:
    """A finding worth knowing; nothing needs to be done."""
    return Finding(check, Level.NOTE, found, advice)


def warning(check: str, found: str, advice: str) -> Finding:
    """A finding that a guarantee may not hold."""
    return Finding(check, Level.WARNING, found, advice)


def broken(check: str, found: str, advice: str) -> Finding:
    """A finding that something does not work."""
    return Finding(check, Level.BROKEN, found, advice)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if all is well, 1 after warnings, 2 if something is broken."""
    worst = max((finding.level for finding in findings), default=Level.OK)
    return {Level.WARNING: 1, Level.BROKEN: 2}.get(worst, 0)
