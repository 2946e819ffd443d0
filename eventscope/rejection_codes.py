"""The codes that messages are rejected with; `docs/errors.md` explains each, and a test holds all three together."""

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


def known(code: str, in_log: Iterable[str]) -> str:
    """The code, which may be given in small letters.

    Raises BadInput unless it is one of these, or of an older version whose messages are still in the log.
    """
    codes = {*CODES, *in_log}
    for one in (code, code.upper()):
        if one in codes:
            return one
    close = difflib.get_close_matches(code.upper(), sorted(codes), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(codes))}"
    raise BadInput(f"{code[:60]!r} is not the code of a rejection; {hint}")
