"""Incidents of the servers are kept until they are acknowledged; why an ingester stopped is kept for a minute."""

import pytest

from eventscope.errors import Blocked
from eventscope.store import incidents
from eventscope.store.incidents import Incident, Incidents
from eventscope.store.log import Log, prepare
from eventscope.store.rejected import quota
from eventscope.store.state import checkpoint, stopped
from eventscope.store.state.stopped import Stopped
from eventscope.store.write.writer import writing
from tests.store.support.appender import FOREVER, NOON, Appender, event


async def test_the_latest_incidents_are_kept_and_all_are_counted(log: Log) -> None:
    assert await incidents.read(log) == Incidents()
    for n in range(1, incidents.MOST_LAST + 3):
        await incidents.note(log, str(n))
    found = await incidents.read(log)
    assert (found.count, len(found.last), found.last[-1]) == (22, 20, Incident(NOON, "22"))


async def test_everything_that_has_happened_so_far_is_acknowledged(log: Log, appender: Appender) -> None:
    await appender.store(event())
    await log.meta.update_one({"_id": checkpoint.ID}, {"$set": {"lostCount": 7}})
    await log.meta.insert_one({"_id": quota.ID, "codes": {"A": 2, "B": 1}, "since": 1, "last": 1})
    await incidents.note(log, "one")
    await incidents.acknowledge(log)
    await incidents.note(log, "two")
    found = await incidents.read(log)
    assert (found.count, found.acknowledged, found.lost, found.dropped) == (2, 1, 7, 3)


@pytest.mark.parametrize("damage", [{"last": 1}, {"last": [{"at": "noon"}]}, {"count": "1"}])
async def test_damaged_records_are_named(log: Log, damage: dict[str, object]) -> None:
    await log.meta.insert_one({"_id": incidents.ID, **damage})
    with pytest.raises(Blocked, match="the record of incidents in meta is damaged: "):
        await incidents.read(log)


async def test_the_last_report_of_a_stopped_ingester_is_read_as_it_was_written(log: Log) -> None:
    assert await stopped.last(log) is None
    for reason in ("first", "$at is no field"):
        await stopped.report(log, "ann", reason)
    assert await stopped.last(log) == Stopped("ann", "$at is no field")
    await log.meta.update_one({"_id": stopped.ID}, {"$set": {"reason": 1}})
    assert await stopped.last(log) is None


async def test_a_recreated_log_is_logged_as_an_error(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        async with writing(log, FOREVER, "ann", 60) as writer:
            assert writer is not None
    assert caplog.text == ""
    await log.meta.delete_many({})
    await prepare(log)
    async with writing(log, FOREVER, "ann", 60) as writer:
        assert writer is not None
    [record] = caplog.records
    assert (record.levelname, "the database was dropped or replaced: it now has another log" in record.message) == (
        "ERROR",
        True,
    )
