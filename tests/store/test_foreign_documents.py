"""Documents that others put into the log's collections, or damaged: lists omit them and stay complete."""

from typing import Any

import pytest

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria, Order
from eventscope.store.events import pages
from eventscope.store.filters.filter import EVERYTHING, Between, Exists, Filter, TypePatterns
from eventscope.store.filters.paths import Path
from eventscope.store.log import Log
from eventscope.store.mongo.driver import Document
from eventscope.store.rejected import messages
from tests.store.support.appender import Appender, event, rejected_message

ORDERS: tuple[Order, ...] = ("last.position", "first.position")
FILTERS: dict[str, Filter] = {
    "every event": EVERYTHING,
    "a type": TypePatterns(("thing.happened",)),
    "positions": Between("position", -5, 3),
    "a path": Exists(Path("data", ("n",))),
}


@pytest.fixture
async def three(appender: Appender) -> None:
    """Three events, of two aggregates and of none, and three rejected messages."""
    names = (("user", "1"), ("user", "2"), None)
    await appender.store(*(event(of=of, data={"n": 1}) for of in names))
    await appender.store(*(rejected_message(raw, "A") for raw in (b"1", b"2", b"3")))


@pytest.mark.parametrize("id", [0, -(10**12), "foreign", None])
@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
async def test_pages_of_events_omit_what_has_no_position(log: Log, three: None, id: Any, filter: Filter) -> None:
    await log.events.insert_one({"_id": id, "type": "thing.happened", "data": {"n": 1}})
    for limit in (2, 10):
        found = [one["_id"] for one in (await pages.page(log, filter, limit=limit)).events]
        assert found == [1, 2, 3][:limit]
        newest = [one["_id"] for one in (await pages.page(log, filter, limit=limit, newest_first=True)).events]
        assert newest == [3, 2, 1][:limit]
    before = await pages.page(log, filter, limit=10, above=-1, below=3)
    assert [one["_id"] for one in before.events] == [1, 2]
    assert await pages.first_position(log) == 1


@pytest.mark.parametrize("filter", [EVERYTHING, Between("position", None, 3)], ids=["every event", "up to a position"])
async def test_counts_of_all_events_omit_what_has_no_position(log: Log, three: None, filter: Filter) -> None:
    await log.events.insert_many([{"_id": 0}, {"_id": -5, "messageId": "other"}])
    assert await pages.count(log, filter) == 3
    assert await pages.count(log, filter, 2) == 2


FOREIGN_REJECTIONS: tuple[Document, ...] = (
    {"_id": "foreign"},
    {"_id": 0},
    {"_id": 2.5},
    {"_id": 9, "code": "A"},
    {"_id": None},
)
REJECTION_MEMBERS = ("code", "reason", "subject", "headers", "raw", "recordedAt", "source", "expireAt")


@pytest.mark.parametrize("foreign", FOREIGN_REJECTIONS, ids=str)
async def test_pages_of_rejected_messages_omit_foreign_documents(log: Log, three: None, foreign: Document) -> None:
    await log.rejected.insert_one(dict(foreign))
    for code in (None, "A"):
        for limit in (2, 3, 10):
            page = await messages.page(log, limit=limit, code=code)
            assert [one.number for one in page.messages] == [3, 2, 1][:limit]
            assert not page.full
        assert [one.number for one in await messages.rejections(log, limit=10, below=3, code=code)] == [2, 1]


@pytest.mark.parametrize("member", REJECTION_MEMBERS)
async def test_pages_of_rejected_messages_omit_damaged_ones(log: Log, three: None, member: str) -> None:
    await log.rejected.update_one({"_id": 2}, {"$set": {member: 2.5}})
    assert [one.number for one in await messages.rejections(log, limit=2)] == [3, 1]
    assert sorted(one.number for one in await messages.several(log, [1, 2, 3])) == [1, 3]


FOREIGN_NAMES = ("foreign", 5, {"type": "user"}, {"type": 5, "id": 6}, {"id": "1", "type": "user"})
HEAD_MEMBERS = (
    "version",
    "deleted",
    "first",
    "last",
    "first.position",
    "first.timestamp",
    "last.position",
    "last.timestamp",
    "last.type",
    "firstExpireAt",
)


@pytest.mark.parametrize("is_copy", [False, True], ids=["empty", "like a head"])
@pytest.mark.parametrize("id", FOREIGN_NAMES, ids=str)
async def test_pages_of_aggregates_omit_foreign_documents(log: Log, three: None, id: Any, is_copy: bool) -> None:
    head = await log.aggregates.find_one({"_id.id": "2"})
    assert head is not None
    await log.aggregates.insert_one((head if is_copy else {}) | {"_id": id})
    for criteria in (AggregateCriteria(), AggregateCriteria(types=("user",))):
        for order in ORDERS:
            for limit in (1, 2, 10):
                found = await aggregates.aggregates(log, criteria, limit=limit, order=order)
                assert [one.id for one in found] == ["2", "1"][:limit]


@pytest.mark.parametrize("value", [None, "x", 2.5])
@pytest.mark.parametrize("member", HEAD_MEMBERS)
async def test_pages_of_aggregates_omit_damaged_ones(log: Log, three: None, member: str, value: Any) -> None:
    damage = {member: value if (member, value) != ("last.type", "x") else 5}
    await log.aggregates.update_one({"_id.id": "2"}, {"$set": damage})
    for order in ORDERS:
        assert [one.id for one in await aggregates.aggregates(log, AggregateCriteria(), limit=1, order=order)] == ["1"]
