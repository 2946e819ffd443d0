"""A recount copes with whatever others left among derived documents: all counts are right again, and it ends."""

import random
from typing import Any

import pytest

from eventscope.errors import Blocked
from eventscope.store.catalogue import counting
from eventscope.store.log import Log
from eventscope.store.recount import sample
from eventscope.store.recount.whole import RecountReport, recount
from eventscope.store.stats import counts
from eventscope.store.stats.counts import Scope
from eventscope.store.write.retention import Retention
from tests.store.support.appender import Appender, Clock, event
from tests.store.support.json_values import some_json

DERIVED = ("aggregates", "rollups", "populations", "expirations")
VALUES: tuple[Any, ...] = (None, True, 0, -5, 2.5, 1.0, 2**62, "x", [], {}, {"position": 10**7}, [1])


async def recounted(log: Log) -> RecountReport:
    return await recount(log, lambda *_: None, repair=True)


async def filled(appender: Appender) -> None:
    appender.retention = Retention({"*": 30, "user.*": 0})
    names = [("user", "1"), ("user", "2"), ("order", "1"), None]
    types = ("user.created", "user.updated", "order.placed")
    for _ in range(2):
        await appender.store(*(event(type, of=of) for type in types for of in names))


async def derived(log: Log) -> dict[str, list[Any]]:
    """All derived documents without counts of zero, each with its `_id` as text, which shows the order of its keys."""
    found = {name: await log.mongo.collection(name).find({}).sort("_id", 1).to_list(None) for name in DERIVED}
    found["populations"] = [row for row in found["populations"] if row.get("n") != 0]
    return {name: [(repr(row["_id"]), row) for row in rows] for name, rows in found.items()}


def value(chance: random.Random) -> Any:
    return chance.choice(VALUES) if chance.random() < 0.7 else some_json(chance, 2)


def foreign_name(chance: random.Random, id: Any) -> Any:
    """A name that resembles one of the log's names, but is not one."""
    if not isinstance(id, dict) or chance.random() < 0.1:
        return chance.choice(["nobody", 5, 2.5, True, None, {}])
    name = chance.choice(list(id))
    match chance.choice(["order", "more", "less", "other"]):
        case "order" if len(id) > 1:
            return dict(reversed(id.items()))
        case "less":
            return {key: of for key, of in id.items() if key != name}
        case "other":
            return id | {name: chance.choice([5.5, True, [], {"a": []}])}
        case _:
            return id | {"more": 1}


async def damage(log: Log, chance: random.Random) -> None:
    """Damage: any member of any derived document is changed or removed, or a document is added."""
    collection = log.mongo.collection(chance.choice(DERIVED))
    documents = await collection.find({}).to_list(None) or [{"_id": 1, "through": 3}]
    document = chance.choice(documents)
    members = [name for name in document if name != "_id"] or ["n"]
    match chance.choice(["member", "member", "less", "foreign"]):
        case "member":
            change = {chance.choice([*members, "more"]): value(chance)}
            await collection.update_one({"_id": document["_id"]}, {"$set": change})
        case "less":
            await collection.update_one({"_id": document["_id"]}, {"$unset": {chance.choice(members): ""}})
        case _:
            id = foreign_name(chance, document["_id"])
            await collection.replace_one({"_id": {"$eq": id}}, document | {"_id": id}, upsert=True)


@pytest.mark.parametrize("seed", range(4))
async def test_foreign_documents_are_removed_except_what_may_be_a_head(
    log: Log, appender: Appender, clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    await filled(appender)
    before = await derived(log)
    for _ in range(6):
        for _ in range(chance.randrange(1, 8)):
            await damage(log, chance)
        await sample.several(log, 3, 1)
        report = await recounted(log)
        assert report.left == []
        assert all(str(one) for one in report.wrong)
        again = await recounted(log)
        assert (again.wrong, again.left) == ([], [])
        assert [str(one) for one in again.beyond] == [str(one) for one in report.beyond]
        assert all(one.kind == "foreign" and "remove it" in str(one) for one in again.beyond)
        await log.aggregates.delete_many({"_id": {"$in": [one.key[1] for one in again.beyond]}})
        after = await derived(log)
        assert after == before
        assert await counts.total(log, Scope()) == 24
        assert await counts.aggregates(log, Scope()) == 3


async def test_a_damaged_head_without_events_is_reported_and_left_for_a_person_to_decide(
    log: Log, appender: Appender
) -> None:
    await appender.store(event("a", of=("user", "1")), event("a", of=("user", "2")))
    await log.events.delete_many({"aggregateId": "1"})
    await log.aggregates.update_one({"_id.id": "1"}, {"$set": {"last": None}})
    assert (await recounted(log)).left == []
    report = await recounted(log)
    assert (report.wrong, report.left) == ([], [])
    [said] = map(str, report.beyond)
    assert said.startswith("aggregate user 1: the head is damaged, and none of its events is left")
    head = await log.aggregates.find_one({"_id.id": "1"})
    assert head is not None
    assert (head["version"], head["last"]) == (1, None)
    assert await counts.aggregates(log, Scope()) == 1


async def test_foreign_documents_among_the_events_are_not_counted(log: Log, appender: Appender) -> None:
    await filled(appender)
    before = await derived(log)
    for id in (None, 2.5, "x", {"a": 1}):
        await log.events.insert_one({"_id": id, "messageId": str(id), "timestamp": 1, "aggregateType": "user"})
    assert (await recounted(log)).wrong == []
    await sample.several(log, 5, 5)
    assert await derived(log) == before


async def test_an_unreadable_checkpoint_is_reported(log: Log, appender: Appender) -> None:
    await filled(appender)
    await log.meta.update_one({"_id": "checkpoint"}, {"$set": {"head": "x"}})
    with pytest.raises(Blocked, match=r"^the checkpoint in meta is damaged, Eventscope never wrote this value of head"):
        await recounted(log)


async def test_the_catalogue_continues_past_what_is_not_an_event_and_reports_it_once(
    log: Log, appender: Appender, caplog: pytest.LogCaptureFixture
) -> None:
    await appender.store(event("a"), event("b"))
    await log.events.replace_one({"_id": 1}, {"messageId": "foreign"})
    while await counting.count(log):
        pass
    assert [one.events for one in await counting.fields(log, ["a", "b"])] == [0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "the document 1 of the collection events is not Eventscope's: not counted"
    ]
