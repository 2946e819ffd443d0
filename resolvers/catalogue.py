"""The catalogue: which event types there are, and which fields their events have."""

from collections.abc import Sequence
from typing import Final

from eventscope.errors import BadInput, PageTooLarge
from eventscope.store.catalogue import counting, types
from eventscope.store.catalogue.fields import FieldCounts
from eventscope.store.catalogue.types import EventTypeSummary
from eventscope.store.log import Log

MOST_TYPES: Final = 1000


async def event_types(log: Log, prefix: str | None, first: int | None, after: str | None) -> list[EventTypeSummary]:
    """The types that start with the prefix, in order of type: the `first` ones after the type given, or all of them.

    BadInput when all are too many for one answer, or `first` is no number of types; PageTooLarge when it is too large.
    """
    if first is not None and first < 0:
        raise BadInput(f"first is {first}, and there is no page of that size", "first")
    if first is not None and first > MOST_TYPES:
        raise PageTooLarge("first", first, MOST_TYPES)
    if first == 0:
        return []
    found = await types.types(log, prefix or "", MOST_TYPES + 1 if first is None else first, after)
    if len(found) > MOST_TYPES:
        raise BadInput(
            f"over {MOST_TYPES} types start with {(prefix or '')[:60]!r}; give first: {MOST_TYPES}, and go on with the"
            " last type received as after, or give a longer prefix",
            "prefix",
        )
    return found


async def by_name(log: Log, names: Sequence[str]) -> list[EventTypeSummary | None]:
    """The types of these names, each in its place, by one read."""
    found = {one.type: one for one in await types.by_name(log, names)}
    return [found.get(name) for name in names]


async def fields(log: Log, names: Sequence[str]) -> list[FieldCounts]:
    """The fields of each of the types, each in its place, by one read."""
    return await counting.fields(log, names)
