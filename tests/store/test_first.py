"""The first documents that a query means, by one command: as a cursor gives them, and tried again as it does."""

from collections.abc import Iterator

import pytest

from eventscope.embedded import Mongod, running
from eventscope.store.driver import Document, Driver, first
from eventscope.store.log import Log, open_log
from tests.store.appender import Appender, event


class Failing(Mongod):
    """A MongoDB that can be told to fail."""

    def command(self) -> list[str]:
        return [*super().command(), "--setParameter", "enableTestCommands=1"]


@pytest.fixture(scope="module")
def failing_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(Failing, tmp_path_factory.mktemp("failing")) as server:
        yield server.url


@pytest.mark.parametrize("failure", [{"closeConnection": True}, {"errorCode": 189}])
async def test_a_page_is_read_again_when_a_connection_breaks_or_a_primary_steps_down(
    failing_url: str, driver: Driver, failure: Document
) -> None:
    async with open_log(failing_url, "test", driver) as log:
        await log.events.delete_many({})
        await log.events.insert_one({"_id": 1})
        once: Document = {"configureFailPoint": "failCommand", "mode": {"times": 1}}
        await log.mongo.client.admin.command({**once, "data": {"failCommands": ["find"], **failure}})
        assert await first(log.events, {}, limit=10) == [{"_id": 1}]


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("hint", [None, (("type", 1), ("_id", 1))])
async def test_the_first_documents_are_those_that_a_cursor_gives(
    log: Log, appender: Appender, direction: int, hint: tuple[tuple[str, int], ...] | None
) -> None:
    await appender.store(*(event("a", data={"n": n}) for n in range(150)))
    for query in ({}, {"_id": {"$gt": 17}}, {"type": "b"}):
        for limit in (1, 120, 1000):
            cursor = log.events.find(query, {"data": 1}).sort("_id", direction).limit(limit)
            found = await first(log.events, query, {"data": 1}, limit=limit, direction=direction, hint=hint)
            assert found == await cursor.to_list(None)
