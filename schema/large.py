"""Answers that are large, marked as such for the code that writes them out."""

from typing import Any, TypeVar

from eventscope.schema.context import Context

T = TypeVar("T")


class Large(dict[str, Any]):
    """The data of an answer, which takes long to write out."""


def marked(data: T, context: Context) -> T | Large:
    """The data of an operation, marked if so much was read for it."""
    return Large(data) if context.log.budget.is_large and isinstance(data, dict) else data
