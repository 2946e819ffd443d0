"""Recent events: read from memory only if it is as new as the log; then nothing else is read."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from eventscope.store.events import recent_pages
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Driver
from eventscope.store.recent_events import RecentEvents
from tests.store.support.appender import Appender, Clock, event
from tests.store.support.command_listener import Commands, log_with_listener


@pytest.fixture
def ear() -> Commands:
    return Commands()


@pytest.fixture
async def heard(
    mongo_url: str, emptied_database: str, driver: Driver, clock: Clock, ear: Commands, log: Log
) -> AsyncIterator[Log]:
    """The log of this test, with recent events in memory and a listener."""
    async with log_with_listener(mongo_url, emptied_database, driver, clock, ear) as heard:
        yield replace(heard, recent=RecentEvents(100))


async def ids(log: Log, limit: int = 3, **more: Any) -> list[int]:
    found = await recent_pages.page(log, EVERYTHING, limit=limit, newest_first=True, **more)
    assert found.stopped_at is None
    return [event["_id"] for event in found.events]


async def stored(appender: Appender, heard: Log, n: int) -> None:
    """Store this many events, and add them to those in memory."""
    done = await appender.store(*(event() for _ in range(n)))
    assert heard.recent is not None
    heard.recent.add(done.previous, done.events, appender.at.head, 100)


def reads(ear: Commands) -> list[str]:
    read = [str(command["find"]) for command in ear.heard if "find" in command]
    ear.heard.clear()
    return read


async def test_a_page_from_memory_costs_one_read_of_the_head(appender: Appender, heard: Log, ear: Commands) -> None:
    await stored(appender, heard, 5)
    ear.heard.clear()
    assert await ids(heard) == [5, 4, 3]
    assert reads(ear) == ["meta"]


async def test_concurrent_requests_share_the_read_of_the_head(appender: Appender, heard: Log, ear: Commands) -> None:
    await stored(appender, heard, 5)
    ear.heard.clear()
    assert await asyncio.gather(*(ids(heard) for _ in range(40))) == [[5, 4, 3]] * 40
    assert len(reads(ear)) <= 2


async def test_what_is_not_yet_in_memory_is_read_from_the_log(appender: Appender, heard: Log, ear: Commands) -> None:
    await stored(appender, heard, 5)
    await appender.store(event())
    ear.heard.clear()
    assert await ids(heard) == [6, 5, 4]
    assert reads(ear) == ["meta", "events"]


async def test_events_that_arrive_while_the_head_is_read_are_in_the_answer(
    appender: Appender, heard: Log, ear: Commands
) -> None:
    await stored(appender, heard, 5)
    more = (await appender.store(event())).events

    def learns(command: dict[str, Any]) -> None:
        if "find" in command and heard.recent is not None:
            heard.recent.add(5, more, 6, 20)

    ear.after = learns
    ear.heard.clear()
    assert await ids(heard) == [6, 5, 4]
    assert reads(ear) == ["meta"]


async def test_what_is_not_in_memory_is_read_without_reading_the_head(
    appender: Appender, heard: Log, ear: Commands
) -> None:
    await appender.store(*(event() for _ in range(9)))
    await stored(appender, heard, 2)
    ear.heard.clear()
    assert await ids(heard, 5) == [11, 10, 9, 8, 7]
    assert reads(ear) == ["events"]
    assert await ids(heard, 2, below=6) == [5, 4]
    assert reads(ear) == ["events"]


async def test_when_another_log_replaces_this_one_the_events_in_memory_are_dropped(
    appender: Appender, heard: Log, ear: Commands
) -> None:
    await stored(appender, heard, 5)
    log = appender.log
    await log.events.delete_many({"_id": {"$gt": 2}})
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"head": 2}})
    assert await ids(heard) == [2, 1]
    assert heard.recent is not None
    assert heard.recent.head is None
    assert await ids(heard) == [2, 1]


async def test_without_recent_events_the_log_is_read(appender: Appender, heard: Log, ear: Commands) -> None:
    await stored(appender, heard, 5)
    ear.heard.clear()
    assert await ids(replace(heard, recent=None)) == [5, 4, 3]
    assert reads(ear) == ["events"]
