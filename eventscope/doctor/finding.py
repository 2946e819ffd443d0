"""Findings of `eventscope doctor`: what was looked at, how it is, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from eventscope.redact import redacted_text


class Level(IntEnum):
    """How bad it is. The exit code of the doctor is 1 from WARNING on, and 2 for BROKEN."""

    OK = 0
    NOTE = 1  # worth knowing; nothing to do
    WARNING = 2  # it works, but what is promised may not hold
    BROKEN = 3  # it does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is empty where nothing is to be done."""

    check: str
    level: Level
    found: str
    advice: str = ""

    def __post_init__(self) -> None:
        """Keep what may be secret out of it, wherever it came from."""
        object.__setattr__(self, "found", redacted_text(self.found))

    @property
    def data(self) -> dict[str, str]:
        """For programs."""
        return {"check": self.check, "level": self.level.name.lower(), "found": self.found, "advice": self.advice}


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, found)


def note(check: str, found: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(check, Level.NOTE, found, advice)


def warning(check: str, found: str, advice: str) -> Finding:
    """What is promised may not hold."""
    return Finding(check, Level.WARNING, found, advice)


def broken(check: str, found: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Level.BROKEN, found, advice)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when all is well, 1 with warnings, 2 when something is broken."""
    worst = max((finding.level for finding in findings), default=Level.OK)
    return {Level.WARNING: 1, Level.BROKEN: 2}.get(worst, 0)
