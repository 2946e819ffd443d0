"""One read for all events of a page: MongoDB itself tells how often it was asked."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.app.world import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def counted(world: World) -> AsyncIterator[Counter[str]]:
    """How often each collection is read within the block; filled in at its end."""
    database, reads = world.log.mongo.database, Counter[str]()
    await database.command("profile", 2)
    try:
        yield reads
    finally:
        await database.command("profile", 0)
        rows = await database["system.profile"].find({}).to_list(None)
        await database.drop_collection("system.profile")
    for row in rows:
        for kind in ("find", "aggregate", "count", "distinct", "getMore"):
            if kind in row.get("command", {}):
                reads[row["ns"].partition(".")[2]] += 1


async def test_the_aggregates_of_a_page_of_events_are_one_read(world: World) -> None:
    async with counted(world) as reads:
        answer = await world.api.ask("{ events(first: 100) { nodes { aggregate { version } } } }")
    assert sum(node["aggregate"] is not None for node in answer["events"]["nodes"]) > 50
    assert (reads["events"], reads["aggregates"]) == (1, 1)


async def test_the_causes_of_a_page_of_events_are_one_read(world: World) -> None:
    async with counted(world) as reads:
        answer = await world.api.ask("{ events(first: 100) { nodes { cause { id } } } }")
    assert sum(node["cause"] is not None for node in answer["events"]["nodes"]) > 20
    assert reads["events"] == 2


async def test_each_step_back_along_causes_is_one_read_more(world: World) -> None:
    async with counted(world) as reads:
        await world.api.ask("{ events(first: 100) { nodes { cause { cause { cause { id } } } } } }")
    assert reads["events"] == 4


async def test_what_is_not_asked_for_is_not_read(world: World) -> None:
    async with counted(world) as reads:
        await world.api.ask('{ events(filter: { userId: "alice" }) { nodes { id } pageInfo { hasNextPage } } }')
    assert reads == {"events": 1}
    async with counted(world) as reads:
        await world.api.ask("{ stats { totalEvents eventTypeBreakdown { type } timeRange { latest } } }")
    assert reads == {"rollups": 1}


async def test_a_cursor_that_is_not_ours_is_refused_before_anything_is_read(world: World) -> None:
    async with counted(world) as reads:
        await world.api.refusal('{ events(after: "x") { nodes { id } } }')
        await world.api.refusal('{ replay(upTo: "a1", after: "e5-6") { nodes { id } } }')
        await world.api.refusal('{ aggregates(after: "e1") { nodes { id } } }')
    assert reads == {}


async def test_a_cause_is_the_event_of_that_id_or_null(world: World) -> None:
    answer = await world.api.ask("{ events(first: 1000, order: OLDEST_FIRST) { nodes { causationId cause { id } } } }")
    known = set(world.those())
    wanted = [event.get("causationId") for event in world.events]
    assert "command-1" in wanted
    assert answer["events"]["nodes"] == [
        {"causationId": id, "cause": {"id": id} if id in known else None} for id in wanted
    ]
