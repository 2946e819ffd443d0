"""A recount finds and corrects whatever is derived wrongly, while events come in and others expire (I6)."""

import random
from collections import Counter
from typing import Any

import pytest

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateCriteria
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log
from eventscope.store.recount import expirations, rows
from eventscope.store.recount.whole import RecountReport, recount
from eventscope.store.stats import counts, expiry
from eventscope.store.stats.counts import Scope
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import AcceptedMessage
from eventscope.store.values.moment import DAY, HOUR
from eventscope.store.write.retention import Retention
from tests.chaos import recount as oracle
from tests.store.support import filter_model as model
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.expired_events import expired_events

RETENTION = Retention({"*": 30, "user.session": 2, "user.*": 0, "brief": 0.1})
TYPES = ("user.created", "user.updated", "user.deleted", "user.session", "brief", "order.placed")
DERIVED = ("aggregates", "rollups", "populations", "expirations")


def message(chance: random.Random, now: int) -> AcceptedMessage:
    of = chance.choice([None, ("user", chance.choice("abc")), ("order", chance.choice("123"))])
    return event(chance.choice(TYPES), of=of, at=now - chance.choice([0, 0, 1, HOUR // 2, 3 * HOUR, 3 * DAY]))


async def filled(appender: Appender, clock: Clock, chance: random.Random, days: int = 20) -> list[EventDocument]:
    """Days of events; the clock stands at their end."""
    appender.retention = RETENTION
    stored: list[EventDocument] = []
    for _ in range(days):
        clock.now += chance.randrange(DAY)
        stored += (await appender.store(*(message(chance, clock.now) for _ in range(chance.randrange(12))))).events
    return stored


async def derived(log: Log) -> dict[str, list[dict[str, Any]]]:
    return {name: await log.mongo.collection(name).find({}).sort("_id", 1).to_list(None) for name in DERIVED}


async def mended(log: Log, chunk: int = rows.CHUNK) -> RecountReport:
    return await recount(log, lambda *_: None, repair=True, chunk=chunk)


async def wrong(log: Log) -> list[str]:
    return [str(one) for one in (await recount(log, lambda *_: None, repair=False)).wrong]


async def check(log: Log, stored: list[EventDocument], *, whole: bool = True) -> None:
    """Asserts that stats equal a recount of the kept events and, in a `whole` log, what is known of expired ones."""
    kept = model.unexpired(stored, log.clock())
    types = Counter(one["type"] for one in kept)
    found: Counter[str] = Counter()
    for cell in await counts.cells(log, Scope()):
        found[cell.type] += cell.n
    assert found == types
    hourly = await counts.cells(log, Scope(), hourly=True)
    assert sum(cell.n for cell in hourly) == len(kept)
    names = {(one["aggregateType"], one["aggregateId"]) for one in kept if "version" in one}
    assert await counts.aggregates(log, Scope()) == len(names)
    there = await aggregates.aggregates(log, AggregateCriteria(), limit=1000)
    assert {(one.type, one.id): one.event_count for one in there} == Counter(
        (one["aggregateType"], one["aggregateId"]) for one in kept if "version" in one
    )
    gone = {one["type"]: one["_id"] for one in stored if one not in kept}
    if whole:
        assert {one.type: one.through for one in await expired_events(log)} == gone


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.node.name)


async def test_expired_deleted_and_tidied_events_cause_no_differences(
    log: Log, appender: Appender, clock: Clock, chance: random.Random
) -> None:
    stored = await filled(appender, clock, chance)
    for _ in range(6):
        assert await wrong(log) == []
        await check(log, stored)
        await log.events.delete_many({"expireAt": {"$lte": bson_date(clock.now)}})
        assert await wrong(log) == []
        await expiry.tidy(log)
        assert await wrong(log) == []
        clock.now += chance.randrange(10 * DAY)


async def test_the_damage_of_an_older_version_with_a_wrong_clock_is_repaired(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 30})
    messages = (event(type, of=("user", id)) for type, id in zip("ababababab", "1234567890", strict=True))
    stored = list((await appender.store(*messages)).events)
    before = await derived(log)
    # what it did: it treated the rollups as expired, and noted that
    for type, through in (("a", 9), ("b", 10)):
        await log.expirations.insert_one({"_id": type, "through": through})
    await log.rollups.delete_many({"_id.expireAt": {"$exists": True}})
    await log.rollups.delete_many({"_id.expiryDay": {"$exists": True}})
    await log.populations.delete_many({})
    stored += (await appender.store(event("a", of=("user", "1")), event("a", of=("user", "new")))).events
    assert sum(cell.n for cell in await counts.cells(log, Scope())) == 2
    assert await expiry.expired_through(log, EVERYTHING) == 10

    report = await mended(log)
    assert report.left == []
    assert await wrong(log) == []
    await check(log, stored)
    assert await expiry.expired_through(log, EVERYTHING) == 0
    found = await derived(log)
    assert len(found["rollups"]) == len(before["rollups"])
    assert found["expirations"] == []


async def damage(log: Log, chance: random.Random) -> None:
    """Damage to any derived document: removed, changed anywhere, or added."""
    name = chance.choice(("aggregates", "rollups", "rollups", "rollups", "populations"))
    collection = log.mongo.collection(name)
    documents = await collection.find({}).sort("_id", 1).to_list(None)
    if not documents:
        return
    document = chance.choice(documents)
    numbers = [field for field, value in document.items() if isinstance(value, int) and not isinstance(value, bool)]
    match chance.choice(["gone", "number", "other", "more"]):
        case "gone":
            await collection.delete_one({"_id": document["_id"]})
        case "more" if name != "aggregates":
            id = document["_id"] | {"type": "invented"} if "minute" not in document["_id"] else {"minute": 0}
            if name == "populations":
                id = document["_id"] | {"aggregateType": "invented"}
            await collection.replace_one({"_id": id}, document | {"_id": id}, upsert=True)
        case "other" if name == "aggregates":
            change: dict[str, Any] = chance.choice(
                [
                    {"deleted": not document["deleted"]},
                    {"last": document["first"] | {"position": 10**6}},
                    {"first": document["last"]},
                    {"expireAt": bson_date(NOON)},
                    {"firstExpireAt": bson_date(NOON)},
                ]
            )
            await collection.update_one({"_id": document["_id"]}, {"$set": change})
        case _ if numbers:
            change = {chance.choice(numbers): chance.choice([1, 2, 7, 10**6])}
            await collection.update_one({"_id": document["_id"]}, {"$set": change})
        case _:
            pass


@pytest.mark.parametrize("seed", range(6))
async def test_any_damage_is_repaired_so_that_everything_is_as_it_was(
    log: Log, appender: Appender, clock: Clock, seed: int
) -> None:
    chance = random.Random(seed)
    appender.retention = Retention({"*": 30, "user.*": 0})
    stored: list[EventDocument] = []
    for _ in range(12):
        clock.now += chance.randrange(DAY)
        stored += (await appender.store(*(message(chance, clock.now) for _ in range(8)))).events
    before = await derived(log)
    for _ in range(8):
        for _ in range(chance.randrange(1, 20)):
            await damage(log, chance)
        report = await mended(log)
        assert report.left == []
        after = await derived(log)
        after["populations"] = [row for row in after["populations"] if row["n"]]
        assert after == before | {"populations": [row for row in before["populations"] if row["n"]]}
    await check(log, stored)
    assert list(oracle.differences(stored, *(after[name] for name in ("aggregates", "rollups", "populations")))) == []  # type: ignore[arg-type]  # an event is a document


async def test_a_dry_run_changes_nothing(log: Log, appender: Appender, clock: Clock, chance: random.Random) -> None:
    await filled(appender, clock, chance)
    for _ in range(10):
        await damage(log, chance)
    before = await derived(log)
    assert sorted(await wrong(log)) == sorted(await wrong(log)) != []
    assert await derived(log) == before


async def test_rows_of_events_that_mongodb_deleted_by_a_wrong_clock_are_removed_and_the_gap_is_reported(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 30, "lasting": 0})
    stored = await appender.store(*(event(type, of=("user", type)) for type in ("a", "lasting", "b", "a", "lasting")))
    await log.events.delete_many({"expireAt": {"$exists": True}})
    left = [one for one in stored.events if one["type"] == "lasting"]
    assert (await mended(log)).left == []
    cells = await counts.cells(log, Scope())
    assert [(cell.type, cell.n) for cell in cells] == [("lasting", len(left))]
    assert await counts.aggregates(log, Scope()) == 1
    assert [one.id for one in await aggregates.aggregates(log, AggregateCriteria(), limit=9)] == ["lasting"]
    assert {one.type: one.through for one in await expired_events(log)} == {"a": 4, "b": 3}


@pytest.mark.parametrize(
    ("gone", "noted", "right"),
    [
        ([], 4, None),
        ([1], 4, 1),
        ([1, 3], 4, 3),
        ([1, 3], 3, 3),
        ([2], 2, 2),
        ([], 99, None),
        ([5], 99, 5),
        ([1], -1, None),
    ],
)
async def test_an_impossible_note_of_expired_events_is_corrected_to_a_possible_one(
    log: Log, appender: Appender, gone: list[int], noted: int, right: int | None
) -> None:
    await appender.store(*(event("a") for _ in range(5)))
    await log.events.delete_many({"_id": {"$in": gone}})
    await log.expirations.insert_one({"_id": "a", "through": noted})
    await expirations.repair(log, await expirations.differences(log))
    assert await log.expirations.find({}).to_list(None) == ([{"_id": "a", "through": right}] if right else [])


async def test_events_that_come_while_it_counts_are_counted_once(
    log: Log, appender: Appender, clock: Clock, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await filled(appender, clock, chance, days=5)
    for _ in range(12):
        await damage(log, chance)
    look, repair = rows.differences, rows.repair

    async def more() -> None:
        appender.at = (await Appender.of(log)).at
        stored.extend((await appender.store(*(message(chance, clock.now) for _ in range(10)))).events)

    async def differences(log: Log, basis: rows.Basis) -> Any:
        found = await look(log, basis)
        await more()
        return found

    async def mending(log: Log, basis: rows.Basis, found: Any) -> None:
        await repair(log, basis, found)
        await more()

    monkeypatch.setattr(rows, "differences", differences)
    monkeypatch.setattr(rows, "repair", mending)
    assert (await mended(log, chunk=3)).left == []
    await check(log, stored)
