"""The catalogue: which event types there are, and which fields their events have."""

from collections.abc import Sequence
from typing import Final

from eventscope.errors import BadInput, PageTooLarge
from eventscope.store.catalogue import counting, types
from eventscope.store.catalogue.fields import FieldCounts
from eventscope.store.catalogue.types import EventTypeSummary
from eventscope.store.log import Log

MOST_TYPES: Final = 1000


async def event_types(
    log: Log, prefix: str | None, first: int | None, after: str | None, *, most: int = MOST_TYPES
) -> list[EventTypeSummary]:
    """The types that start with the prefix, sorted by type: the `first` ones after the type `after`, or all of them.

    BadInput when all are requested but exceed one answer, or `first` is negative; PageTooLarge when it is too large.
    """
    if first is not None and first < 0:
        raise BadInput(f"first is {first}, and there is no page of that size: give 0 to {most}", "first")
    if first is not None and first > most:
        raise PageTooLarge("first", first, most)
    if first == 0:
        return []
    summaries = await types.types(log, prefix or "", most + 1 if first is None else first, after)
    if len(summaries) > most:
        raise BadInput(
            f"over {most} types start with {(prefix or '')[:60]!r}; pass first: {most}, and the last type"
            " received as after for the next page, or pass a longer prefix",
            "prefix",
        )
    return summaries


async def by_name(log: Log, names: Sequence[str]) -> list[EventTypeSummary | None]:
    """The types with these names, in the same order, in one read; None for those that do not exist."""
    summaries = {one.type: one for one in await types.by_name(log, names)}
    return [summaries.get(name) for name in names]


async def fields(log: Log, names: Sequence[str]) -> list[FieldCounts]:
    """The fields of each type, in the same order, in one read."""
    return await counting.fields(log, names)
