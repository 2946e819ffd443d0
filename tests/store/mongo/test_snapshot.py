"""All reads of a snapshot see the same moment, although MongoDB keeps no history."""

import pytest

from eventscope.errors import QuestionTimedOut, Unavailable
from eventscope.store.log import Log
from eventscope.store.mongo.cursors import fetch_all
from eventscope.store.mongo.errors import translate_errors
from tests.store.support.appender import Appender, event

COUNT = [{"$count": "n"}]


async def test_it_does_not_see_what_is_stored_after_its_first_read(log: Log, appender: Appender) -> None:
    await appender.store(event("1", of=("user", "1")))
    async with log.mongo.snapshot() as session:
        [head] = await fetch_all(log.aggregates.find({}, session=session))
        for number in range(2, 12):
            await appender.store(event(str(number), of=("user", "1")))

        assert await fetch_all(log.aggregates.find({}, session=session)) == [head]
        assert await log.mongo.aggregate(log.events, COUNT, session=session) == [{"n": 1}]
        assert await log.events.count_documents({}, session=session) == 1
    assert await log.mongo.aggregate(log.events, COUNT) == [{"n": 11}]


async def test_one_that_mongodb_has_ended_is_an_outage_and_not_an_answer(log: Log, appender: Appender) -> None:
    await appender.store(event("1"))
    with pytest.raises(Unavailable), translate_errors(10):
        async with log.mongo.snapshot() as session:
            await log.events.find_one({}, session=session)
            await log.mongo.end_session(session.session_id)
            await log.events.find_one({}, session=session)


async def test_one_whose_time_is_over_leaves_no_transaction_open(log: Log, appender: Appender) -> None:
    await appender.store(event("1"))
    with pytest.raises(QuestionTimedOut), translate_errors(0.5):
        async with log.mongo.snapshot() as session:
            while True:
                await log.events.find_one({}, session=session)
    status = await log.mongo.client.admin.command("serverStatus")
    assert status["transactions"]["currentOpen"] == 0
