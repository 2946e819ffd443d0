"""Keeps the newest events in memory: new ones from the live feed, earlier ones and those of a hole from the log."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson

from eventscope.background import beside
from eventscope.errors import EventscopeError, log_unexpected
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.recent_events import RecentEvents
from eventscope.store.state import checkpoint
from eventscope.subscriptions.live.feed import Feed

LOOK_SECONDS: Final = 1.0
FAILED_SECONDS: Final = 4.0
PAGE: Final = 50

logger = logging.getLogger(__name__)


@asynccontextmanager
async def keep_recent_events(
    log: Log, feed: Feed, look_seconds: float = LOOK_SECONDS, failed_seconds: float = FAILED_SECONDS
) -> AsyncIterator[None]:
    """Keep the newest events of the log in memory, if it has a place for them, for the length of the block.

    What is missing is looked for every `look_seconds`, and `failed_seconds` later after an unexpected error.
    """
    if log.recent is None:
        yield
        return
    feed.recent = log.recent
    async with beside(_keep(log, log.recent, look_seconds, failed_seconds)):
        try:
            yield
        finally:
            feed.recent = None
            log.recent.restart(None)


async def _keep(log: Log, recent: RecentEvents, look_seconds: float, failed_seconds: float) -> None:
    while True:
        try:
            await fill(log, recent)
        except EventscopeError as error:
            logger.info("the newest events cannot be read into memory for now: %s", error)
        except Exception as error:
            log_unexpected(error, "the newest events are read into memory again")
            recent.restart(None)
            await asyncio.sleep(failed_seconds)
        await asyncio.sleep(look_seconds)


async def fill(log: Log, recent: RecentEvents) -> None:
    """Read the missing events from the log. Unavailable or QuestionTimedOut when that is not possible."""
    if recent.head is None:
        head = await checkpoint.head(log)
        if recent.head is None:
            recent.restart(head)
    while recent.has_room_for_older:
        floor = recent.floor
        page = await pages.page(log, EVERYTHING, below=floor + 1, newest_first=True, limit=PAGE)
        size = sum(len(orjson.dumps(event, default=str)) for event in page.events)
        recent.extend(floor, page.events, size, whole=len(page.events) < PAGE and not page.full)
