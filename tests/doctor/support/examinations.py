"""Options for examinations of the servers of a test, and what they found."""

from eventscope.doctor.examine import Options
from eventscope.doctor.finding import Finding, Level

HERE = Options(embedded=frozenset({"mongod", "nats"}))


def worse(findings: list[Finding]) -> dict[str, Level]:
    """The findings that need action, except for the disk of the machine that runs the test."""
    return {one.check: one.level for one in findings if one.level >= Level.WARNING and one.check != "MongoDB disk"}


def found(findings: list[Finding], check: str) -> str:
    """The text of the finding of that check."""
    [finding] = [one for one in findings if one.check == check]
    return finding.found
