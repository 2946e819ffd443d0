"""The catalogue: which event types there are, and which fields their events have."""

from collections.abc import Sequence
from typing import Final

from eventscope.errors import BadInput
from eventscope.store import catalogue
from eventscope.store.catalogue_fields import Fields
from eventscope.store.catalogue_types import EventType, types
from eventscope.store.log import Log

MOST_TYPES: Final = 1000


async def event_types(log: Log, prefix: str | None) -> list[EventType]:
    """The types that start with the prefix; BadInput when they are too many for one answer."""
    found = await types(log, prefix or "", MOST_TYPES + 1)
    if len(found) > MOST_TYPES:
        raise BadInput(f"over {MOST_TYPES} types start with {(prefix or '')[:60]!r}; give a longer prefix", "prefix")
    return found


async def fields(log: Log, names: Sequence[str]) -> list[Fields]:
    """The fields of each of the types, each in its place, by one read."""
    return await catalogue.fields(log, names)
