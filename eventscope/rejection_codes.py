"""The codes with which messages are rejected. `docs/errors.md` explains each; a test compares both with the code."""

import difflib
from collections.abc import Iterable
from typing import Final

from eventscope.errors import BadInput

CODES: Final = (
    "DUPLICATE_KEY",
    "EXPIRED",
    "ID_REUSED",
    "INTEGER_TOO_LARGE",
    "INVALID_FIELD",
    "INVALID_JSON",
    "INVALID_KEY",
    "INVALID_TIMESTAMP",
    "INVALID_TYPE",
    "MISSING_TYPE",
    "NOT_AN_OBJECT",
    "NO_AGGREGATE",
    "NUMBER_TOO_PRECISE",
    "RESERVED_SUBJECT",
    "TOO_DEEP",
    "TOO_LARGE",
    "UNREADABLE",
    "UNSTORABLE",
    "VERSION_CONFLICT",
    "WRONG_COUNT",
    "WRONG_ENVELOPE",
)


LONGEST: Final = max(map(len, CODES))


def find(code: str, in_log: Iterable[str]) -> str:
    """The code that a person wrote, perhaps in lower case.

    Raises BadInput unless it is one of ours, or of an older version whose messages are still in the log.
    """
    codes = {*CODES, *in_log}
    for candidate in (code, code.upper()):
        if candidate in codes:
            return candidate
    close = difflib.get_close_matches(code.upper(), sorted(codes), n=1)
    hint = f"did you mean {close[0]}?" if close else f"the codes are {', '.join(sorted(codes))}"
    raise BadInput(f"{code[:60]!r} is not a rejection code; {hint}")
