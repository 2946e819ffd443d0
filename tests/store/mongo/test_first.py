"""The first documents of a query, by one command: the same as from a cursor, and retried in the same way."""

from collections.abc import Iterator
from typing import Any

import pytest
from bson import encode

from eventscope.dev.servers import Mongod, run_server
from eventscope.errors import TooComplex
from eventscope.store.log import Log, open_log
from eventscope.store.mongo import raw
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.mongo.first import first, first_large
from tests.store.support.appender import Appender, event


class Failing(Mongod):
    """A MongoDB that fails on request."""

    def command(self) -> list[str]:
        return [*super().command(), "--setParameter", "enableTestCommands=1"]


@pytest.fixture(scope="module")
def failing_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(Failing, tmp_path_factory.mktemp("failing")) as server:
        yield server.url


@pytest.mark.processes
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("failure", [{"closeConnection": True}, {"errorCode": 189}])
async def test_a_page_is_read_again_when_a_connection_breaks_or_a_primary_steps_down(
    failing_url: str, driver: Driver, failure: Document, large: bool
) -> None:
    async with open_log(failing_url, "test", driver) as log:
        await log.events.delete_many({})
        await log.events.insert_one({"_id": 1})
        once: Document = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
        await log.mongo.client.admin.command({**once, "data": {"failCommands": ["find"], **failure}})
        asked = {"limit": 10, "budget": ReadBudget()} if large else {"limit": 10}
        found: Any = await (first_large if large else first)(log.events, {}, **asked)
        assert (found[0] if large else found) == [{"_id": 1}]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("hint", [None, (("type", 1), ("_id", 1))])
async def test_the_first_documents_are_those_that_a_cursor_returns(
    log: Log, appender: Appender, direction: int, hint: tuple[tuple[str, int], ...] | None
) -> None:
    await appender.store(*(event("a", data={"n": n}) for n in range(150)))
    for query in ({}, {"_id": {"$gt": 17}}, {"type": "b"}):
        for limit in (1, 120, 1000):
            cursor = log.events.find(query, {"data": 1}).sort("_id", direction).limit(limit)
            asked: dict[str, Any] = {"limit": limit, "direction": direction}
            expected = await cursor.to_list(None)
            assert await first(log.events, query, {"data": 1}, **asked) == expected
            budget = ReadBudget()
            found, size = await first_large(log.events, query, {"data": 1}, **asked, hint=hint, budget=budget)
            assert found == expected
            assert budget.total == size
            # the documents, each with its type and its index as a key; and the other members of the answer
            batch = sum(len(encode(one)) + len(str(n)) + 2 for n, one in enumerate(expected))
            assert 0 <= size - batch < 100


async def test_large_documents_are_decoded_a_few_at_a_time_and_are_the_same(log: Log, appender: Appender) -> None:
    values: list[Any] = [None, 2**62, 1.5, "ä" * 50_000, [[], {}], {"a": {"$ref": "x"}}, "2026-01-01"]
    await appender.store(*(event("a", data={"n": n, "v": values * 2}) for n in range(20)))
    found, size = await first_large(log.events, {}, limit=100, budget=ReadBudget())
    assert found == await log.events.find().sort("_id", 1).to_list(None)
    assert size > raw.SMALL


async def test_what_exceeds_the_budget_is_refused_before_documents_are_decoded(log: Log, appender: Appender) -> None:
    await appender.store(*(event("a", data={"n": "x" * 1000}) for _ in range(10)))
    budget = ReadBudget(20_000)
    await first_large(log.events, {}, limit=100, budget=budget)
    with pytest.raises(TooComplex, match="the operation reads more than 20000 bytes"):
        await first_large(log.events, {}, limit=100, budget=budget)
