"""Marks large answers for the code that encodes them."""

from typing import Any, TypeVar

from eventscope.schema.context import Context

T = TypeVar("T")


class Large(dict[str, Any]):
    """The data of an answer that takes long to encode."""


def mark_large(data: T, context: Context) -> T | Large:
    """The data of an operation, wrapped in `Large` if much was read for it."""
    return Large(data) if context.log.budget.is_large and isinstance(data, dict) else data
