"""Damaged counts: who reads them is told what is damaged and what repairs it, and the repair is enough."""

from typing import Any

import pytest

from eventscope.errors import Blocked
from eventscope.resolvers import stats
from eventscope.store.catalogue import counting
from eventscope.store.log import Log
from eventscope.store.recount.whole import recount
from eventscope.store.stats.counts import Scope
from tests.store.support.appender import NOON, Appender, event

CATALOGUE_DAMAGE: tuple[tuple[str, Any], ...] = (
    ("drifts", "x"),
    ("drifts", [{"position": 1}]),
    ("drifts", 5),
    ("seen", "x"),
    ("seen", [{"path": "a"}]),
    ("seen", None),
    ("events", "x"),
    ("to", None),
    ("drift_count", 2.5),
)


@pytest.mark.parametrize("member", ["earliest", "latest"])
@pytest.mark.parametrize("change", [{"$unset": ""}, {"$set": "x"}, {"$set": None}], ids=str)
async def test_damaged_times_are_reported_and_repaired(
    log: Log, appender: Appender, member: str, change: dict[str, Any]
) -> None:
    await appender.store(event(at=NOON))
    [(operator, value)] = change.items()
    await log.rollups.update_many({member: {"$exists": True}}, {operator: {member: value}})
    found = await stats.stats(log, Scope())
    assert found.total_events == 1
    with pytest.raises(Blocked, match="rollups is damaged: run `eventscope recount`"):
        _ = found.time_range
    await recount(log, lambda *_: None, repair=True)
    assert (await stats.stats(log, Scope())).time_range == stats.TimestampRange(NOON, NOON)


@pytest.mark.parametrize(("member", "value"), CATALOGUE_DAMAGE, ids=str)
async def test_a_damaged_type_of_the_catalogue_is_reported_and_can_be_counted_again(
    log: Log, appender: Appender, member: str, value: Any
) -> None:
    await appender.store(event("one", data={"a": 1}), event("two", data={"b": 1}), event("one", data={"a": "x"}))
    await counting.count(log)
    before = await counting.fields(log, ["one", "two"])
    await log.catalogue.update_one({"_id": "one"}, {"$set": {member: value}})
    with pytest.raises(Blocked) as raised:
        await counting.fields(log, ["one", "two"])
    assert str(raised.value) == (
        'the catalogue is damaged: db.catalogue.deleteOne({_id: "one"}); db.meta.deleteOne({_id: "catalogue"})'
    )
    await appender.store(event("one", data={"a": 1}))
    with pytest.raises(Blocked, match="the catalogue is damaged"):
        await counting.count(log)
    await log.events.delete_one({"_id": 4})
    await log.catalogue.delete_one({"_id": "one"})
    await log.meta.delete_one({"_id": "catalogue"})
    await counting.count(log)
    after = await counting.fields(log, ["one", "two"])
    assert [(one.occurrences, one.drifts, one.events) for one in after] == [
        (one.occurrences, one.drifts, one.events) for one in before
    ]
