"""What was refused before is known again by its content, however many other rejections its messageId has."""

from collections.abc import AsyncIterator

import pytest

from eventscope.store.log import Log
from tests.store.appender import Appender, Clock, event, refused
from tests.store.listening import Ear, listening

MANY = 40


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def heard(mongo_url: str, log: Log, appender: Appender, clock: Clock, ear: Ear) -> AsyncIterator[Appender]:
    """An appender that is listened to; the log has one event, and many rejections, of one messageId."""
    await appender.store(event(id="undefined", data=-1), *(event(id="undefined", data=n) for n in range(MANY)))
    async with listening(mongo_url, log.mongo.database.name, log.mongo.driver, clock, ear) as listened:
        yield Appender(listened, appender.at, sequence=appender.sequence)


async def examined(log: Log, ear: Ear) -> int:
    """How many rejections MongoDB looks at for what was asked."""
    [asked] = [command for command in ear.heard if command.get("find") == "rejected"]
    plan = await log.mongo.database.command({"explain": asked, "verbosity": "executionStats"})
    return int(plan["executionStats"]["totalDocsExamined"])


async def test_of_many_rejections_of_one_id_only_those_of_the_same_content_are_read(
    log: Log, heard: Appender, ear: Ear
) -> None:
    stored = await heard.store(event(id="undefined", data=7), event(id="undefined", data="new"), event())
    assert (stored.duplicates, stored.codes) == (1, {"ID_REUSED": 1})
    assert await examined(log, ear) == 2  # explained now, when the new one has been refused too


async def test_a_rejection_that_an_older_version_kept_is_known_too(log: Log, heard: Appender) -> None:
    await log.rejected.update_many({}, {"$unset": {"rawHash": ""}})
    stored = await heard.store(event(id="undefined", data=7), refused(b"{"))
    assert (stored.duplicates, stored.codes) == (1, {"INVALID_JSON": 1})
