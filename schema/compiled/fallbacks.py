"""Counts, by reason, the executions in which graphql-core took over from compiled code, and logs unforeseen ones.

Taking over is always safe: graphql-core completes the same value, and its answer or error is the one that is sent.
"""

from collections.abc import Callable
from typing import Final

from graphql import GraphQLError

from eventscope.errors import log_unexpected

UNUSUAL_VALUE: Final = "unusual_value"
"""A value did not fit its type: a null where none may be, or a value of another type."""
ERROR: Final = "error"
"""Reading or writing a value raised. graphql-core raises the same, and reports it with its path."""
UNEXPECTED: Final = "unexpected"
"""Something else raised: a fault of ours, which is logged."""
TOO_LARGE: Final = "too_large"
"""A selection was too long, or nested too deeply, to be compiled."""
TOO_MANY_VARIANTS: Final = "too_many_variants"
"""An operation had too many selections to keep another function, as when many variables decide what is skipped."""
SELF_CHECK: Final = "self_check"
"""The self-check at the start failed, and nothing is compiled."""

REASONS: Final = (UNUSUAL_VALUE, ERROR, UNEXPECTED, TOO_LARGE, TOO_MANY_VARIANTS, SELF_CHECK)
# what broken documents in the database, and arguments that cannot be converted, are known to raise
VALUE_ERRORS: Final = (GraphQLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Unusual(Exception):
    """A value does not fit its type."""


class Fallbacks:
    """Reports fallbacks by `report`, which takes the reason and must not raise."""

    def __init__(self, report: Callable[[str], None] = lambda reason: None) -> None:
        self.report = report
        self._logged: set[type[Exception]] = set()

    def reason(self, error: Exception) -> str:
        """The reason, from what compiled code raised; each kind of unforeseen error is logged once."""
        if isinstance(error, Unusual):
            return UNUSUAL_VALUE
        if isinstance(error, VALUE_ERRORS):
            return ERROR
        if type(error) not in self._logged:
            self._logged.add(type(error))
            log_unexpected(error, "compiled code failed; more errors of this kind are not logged")
        return UNEXPECTED
