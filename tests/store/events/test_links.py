"""Related events are found by index, for many events with one command, and none are read that are not returned."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventscope.errors import TooComplex
from eventscope.store.events import links
from eventscope.store.events.links import Cause, Link
from eventscope.store.log import Log, prepare
from eventscope.store.mongo.driver import Document
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.command_listener import Commands, log_with_listener

LINKS: tuple[Link, ...] = ("causationId", "correlationId")


@pytest.fixture
def ear() -> Commands:
    return Commands()


@pytest.fixture
async def events(log: Log, appender: Appender) -> list[EventDocument]:
    """Conversations of a hundred events, each with thirty causes; one in ten events has expired."""
    appender.retention = Retention({"*": 0, "brief": 1})
    stored: list[EventDocument] = []
    for n in range(4):
        messages = [
            event(
                "brief" if m % 10 == 3 else "lasting",
                f"{n}-{m}",
                correlationId=f"talk {n}",
                causationId=f"{n}-{m // 3}",
                at=NOON + m,
            )
            for m in range(100)
        ]
        stored += (await appender.store(*messages)).events
    return stored


@pytest.fixture
async def heard(
    mongo_url: str, events: list[EventDocument], log: Log, clock: Clock, ear: Commands
) -> AsyncIterator[Log]:
    """The same log, with a listener, at a time when brief events have expired."""
    clock.now = NOON + DAY
    async with log_with_listener(mongo_url, log.mongo.database.name, log.mongo.driver, clock, ear) as heard:
        await prepare(heard)
        ear.heard.clear()
        yield heard


def kept(events: list[EventDocument]) -> list[EventDocument]:
    return [e for e in events if e["type"] != "brief"]


@pytest.mark.parametrize("link", LINKS)
async def test_one_command_reads_a_page_for_each_value(
    heard: Log, events: list[EventDocument], ear: Commands, link: Link
) -> None:
    values = [*sorted({str(e[link]) for e in events})[:20], "nobody's", "$_id", "$$ROOT"]
    for limit, above in ((1, None), (2, 150), (200, None), (50, 10_000)):
        found = await links.by_link(heard, link, values, limit=limit, above=above)
        assert found == {
            value: [e for e in kept(events) if e[link] == value and e["_id"] > (above or 0)][:limit] for value in values
        }
    assert [next(iter(command)) for command in ear.heard] == ["aggregate"] * 4


@pytest.mark.parametrize("link", LINKS)
async def test_one_command_counts_each_value_up_to_the_limit(
    heard: Log, events: list[EventDocument], ear: Commands, link: Link
) -> None:
    values = [*sorted({str(e[link]) for e in events}), "nobody's"]
    for most in (1, 2, 1000):
        found = await links.counts(heard, link, values, most)
        assert found == {v: min(most, sum(e[link] == v for e in kept(events))) for v in values}
    assert len(ear.heard) == 3


async def test_a_conversation_is_read_in_the_order_of_the_log(heard: Log, events: list[EventDocument]) -> None:
    whole = [e for e in kept(events) if e["correlationId"] == "talk 2"]
    assert await links.conversation(heard, "talk 2", limit=1000) == whole
    assert await links.conversation(heard, "talk 2", limit=5, above=whole[3]["_id"]) == whole[4:9]
    assert await links.conversation(heard, "talk 9", limit=5) == []


async def test_causes_are_found_while_they_are_kept(heard: Log) -> None:
    assert await links.causes(heard, ["1-3", "1-4", "nobody's"]) == {"1-4": Cause("talk 1", NOON + 4)}
    assert await links.causes(heard, []) == {}


async def test_no_more_is_read_than_is_returned_and_all_of_it_through_an_index(heard: Log, ear: Commands) -> None:
    await links.conversation(heard, "talk 2", limit=10, above=5)
    await links.causes(heard, ["1-4", "1-5"])
    pairs: list[tuple[Link, list[str]]] = [("causationId", ["0-5", "1-7"]), ("correlationId", ["talk 1", "talk 3"])]
    for link, values in pairs:
        await links.by_link(heard, link, values, limit=2, above=3)
        await links.counts(heard, link, values, 2)
    for command, most in zip(ear.heard, [12, 2, 8, 8, 8, 8], strict=True):
        explained: Document = await heard.mongo.database.command({"explain": command, "verbosity": "executionStats"})
        assert "COLLSCAN" not in str(explained["stages"] if "stages" in explained else explained["queryPlanner"])
        lookups = [s for s in explained.get("stages", ()) if "$lookup" in s]
        read: list[Any] = lookups or [explained["executionStats"]]
        assert sum(one["totalDocsExamined"] for one in read) <= most
        assert all(one["collectionScans"] == 0 for one in lookups)
        used = [index for one in lookups for index in one["indexesUsed"]]
        assert all(index.startswith(f"{command_link(command)}_1__id_1") for index in used)
        assert len(used) == len(lookups)


def command_link(command: Document) -> str:
    [lookup] = [stage["$lookup"] for stage in command["pipeline"] if "$lookup" in stage]
    return str(lookup["foreignField"])


async def test_a_conversation_of_large_events_is_read_completely_or_refused(appender: Appender) -> None:
    for _ in range(4):
        await appender.store(*(event(correlationId="large", data={"text": "x" * 1_000_000}) for _ in range(10)))
    found = await links.conversation(appender.log, "large", limit=100)
    assert [event["_id"] for event in found] == list(range(1, 41))
    assert len(await links.conversation(appender.log, "large", limit=39)) == 39
    assert len(await links.conversation(appender.log, "large", limit=16, most_bytes=16 * 1024**2)) == 16
    with pytest.raises(TooComplex, match="larger than an answer may be"):
        await links.conversation(appender.log, "large", limit=100, most_bytes=16 * 1024**2)


async def test_large_events_of_many_values_are_read_completely_or_refused(appender: Appender) -> None:
    for n in range(4):
        await appender.store(
            *(event(causationId=f"cause {n}", data={"text": "x" * 1_000_000}) for _ in range(10)),
        )
    causing = [f"cause {n}" for n in range(4)]
    found = await links.by_link(appender.log, "causationId", causing, limit=10)
    assert [[event["_id"] for event in found[id]] for id in causing] == [
        list(range(first, first + 10)) for first in (1, 11, 21, 31)
    ]
    few = await links.by_link(appender.log, "causationId", causing, limit=2, most_bytes=16 * 1024**2)
    assert len(few["cause 3"]) == 2
    with pytest.raises(TooComplex, match="larger than an answer may be"):
        await links.by_link(appender.log, "causationId", causing, limit=10, most_bytes=16 * 1024**2)
