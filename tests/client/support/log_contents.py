"""What publishers published, and what is in the log of it."""

from collections.abc import Sequence
from typing import TypedDict

from eventscope import PublishedEvent
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log


class About(TypedDict):
    """The aggregate that an event is about."""

    aggregate_type: str
    aggregate_id: str


USER: About = {"aggregate_type": "user", "aggregate_id": "42"}


async def whole(log: Log) -> dict[str, tuple[int, int | None]]:
    """Every event of the log, once, with its position and version."""
    events = await pages.events(log, EVERYTHING, limit=100_000)
    found = {event["messageId"]: (event["_id"], event.get("version")) for event in events}
    assert len(found) == len(events)
    return found


def places(published: Sequence[PublishedEvent]) -> dict[str, tuple[int, int | None]]:
    """The place in the log of each event."""
    return {one.id: (one.position, one.version) for one in published}
