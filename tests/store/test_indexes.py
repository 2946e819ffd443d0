"""No read without an index (I8): MongoDB explains what the store really asked."""

import asyncio
import random
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from pymongo import MongoClient

from eventscope.store import aggregates, checkpoint, counts, expiry, read, rejected
from eventscope.store.aggregates import AggregateFilter, Order
from eventscope.store.counts import Scope
from eventscope.store.driver import Document
from eventscope.store.filter import EVERYTHING, All, Among, Between, Filter, Ids, Types
from eventscope.store.log import Log, prepare
from eventscope.store.moment import HOUR
from eventscope.store.retention import Retention
from tests.store.appender import NOON, Appender, Clock, event, refused
from tests.store.conftest import DRIVERS
from tests.store.listening import Ear, listening

EVENTS = 3000
PAGE = 50


class Busy:
    """A log of a few thousand events of the usual kind, and what MongoDB says of the questions that it is asked."""

    def __init__(self, runner: asyncio.Runner, log: Log, ear: Ear) -> None:
        self.log = log
        self._runner = runner
        self._ear = ear

    def run(self, question: Any) -> Any:
        async def asked() -> Any:
            return await question

        return self._runner.run(asked())

    def heard(self, question: Any) -> list[Document]:
        """The commands that the question takes."""
        self._ear.heard.clear()
        self.run(question)
        return list(self._ear.heard)

    def explained(self, command: Document) -> Document:
        """How MongoDB answers the command."""
        explain = {"explain": command, "verbosity": "executionStats"}
        return cast("Document", self.run(self.log.mongo.database.command(explain)))

    def page(self, filter: Filter, **more: Any) -> Document:
        """How MongoDB finds a page of events."""
        commands = self.heard(read.events(self.log, filter, limit=PAGE, **more))
        [command] = [command for command in commands if command.get("find") == "events"]
        return self.explained(command)


@pytest.fixture(scope="module", params=DRIVERS)
def busy(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[Busy]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    ear = Ear()
    with asyncio.Runner() as runner, MongoClient[Document](mongo_url) as broom:
        stack = AsyncExitStack()
        try:
            log = runner.run(stack.enter_async_context(listening(mongo_url, name, request.param, Clock(), ear)))
            runner.run(_fill(log))
            yield Busy(runner, log, ear)
        finally:
            runner.run(stack.aclose())
            broom.drop_database(name)


async def _fill(log: Log) -> None:
    chance = random.Random(8)
    await prepare(log)
    appender = await Appender.of(log)
    appender.retention = Retention({"*": 30})
    messages = [
        event(
            chance.choice(KINDS) + chance.choice([".created", ".updated", ".deleted"]),
            f"id {n}",
            of=(chance.choice(KINDS), str(chance.randrange(100))),
            at=NOON - (EVENTS - n) * HOUR // 20 + chance.randrange(HOUR),
            userId=f"user {chance.randrange(20)}",
            correlationId=f"cause {n // 20}",
            causationId=f"cause {n // 20}",
        )
        for n in range(1, EVENTS + 1)
    ]
    for start in range(0, EVENTS, 500):
        await appender.store(*messages[start : start + 500], refused(b"{"))


def stages(plan: Any) -> list[Document]:
    """All stages of the winning plan, wherever they are in the explanation."""
    if isinstance(plan, list):
        return [stage for part in plan for stage in stages(part)]
    if not isinstance(plan, dict):
        return []
    below = [stage for key, part in plan.items() if key != "rejectedPlans" for stage in stages(part)]
    return [plan, *below] if "stage" in plan else below


def names(explanation: Document) -> set[str]:
    return {stage["stage"] for stage in stages(explanation)}


KINDS = ("user", "vendor", "order", "websocket")

EQUAL: dict[str, Filter] = {
    "one type": Types(("user.created",)),
    "aggregate type": Among("aggregateType", ("user",)),
    "aggregate id": Among("aggregateId", ("7",)),
    "aggregate": All((Among("aggregateType", ("user",)), Among("aggregateId", ("7",)))),
    "user": Among("userId", ("user 7",)),
    "correlation": Among("correlationId", ("cause 100",)),
    "causation": Among("causationId", ("cause 100",)),
    "no condition": EVERYTHING,
    "positions": Between("position", 1000, 1200),
}
SEVERAL: dict[str, Filter] = {
    "types": Types(("user.created", "vendor.created", "order.updated")),
    "a pattern of types": Types(("user.*",)),
    "patterns of types": Types(("*.created", "user.*")),
    "every type": Types(("*",)),
    "aggregate types": Among("aggregateType", ("user", "vendor")),
    "aggregate ids": Among("aggregateId", ("7", "8", "9")),
    "users": Among("userId", ("user 7", "user 8")),
    "correlations": Among("correlationId", ("cause 100", "cause 50")),
    "causations": Among("causationId", ("cause 100", "cause 50")),
}
ORDERS: tuple[Order, ...] = ("last.position", "first.position")
ANY: dict[str, Filter] = {
    "one id": Ids(("id 1000",)),
    "ids": Ids(tuple(f"id {n}" for n in range(0, 3000, 100))),
    "a time range": Between("timestamp", NOON - 100 * HOUR, NOON - 90 * HOUR),
    "versions": All((Among("aggregateType", ("user",)), Among("aggregateId", ("7",)), Between("version", 3, 5))),
}
PLACES: dict[str, dict[str, Any]] = {
    "the newest": {"newest_first": True},
    "the oldest": {},
    "after a cursor": {"above": 1500},
    "before a cursor": {"below": 1500, "newest_first": True},
}


@pytest.mark.parametrize("filter", (EQUAL | SEVERAL).values(), ids=(EQUAL | SEVERAL).keys())
def test_the_index_gives_a_page_in_its_order_and_little_else(busy: Busy, filter: Filter) -> None:
    for name, place in PLACES.items():
        explanation = busy.page(filter, **place)
        assert "IXSCAN" in names(explanation), name
        assert not {"COLLSCAN", "SORT"} & names(explanation), name
        found = explanation["executionStats"]
        assert found["totalDocsExamined"] <= 3 * max(found["nReturned"], 1), name


@pytest.mark.parametrize("filter", ANY.values(), ids=ANY.keys())
def test_what_is_read_beside_a_page_is_bounded(busy: Busy, filter: Filter) -> None:
    for name, place in PLACES.items():
        explanation = busy.page(filter, **place)
        assert "IXSCAN" in names(explanation), name
        assert "COLLSCAN" not in names(explanation), name
        found = explanation["executionStats"]
        assert found["totalDocsExamined"] <= 3 * max(found["nReturned"], PAGE), name


def test_no_question_goes_through_a_whole_collection(busy: Busy) -> None:
    log = busy.log
    heads = AggregateFilter
    low, high = NOON - 100 * HOUR + 7, NOON - 90 * HOUR + 7
    scopes = [
        Scope(),
        Scope(types=Types(("user.created",))),
        Scope(types=Types(("user.*",))),
        Scope(aggregate_types=("user",)),
        Scope(low=low, high=high),
        Scope(types=Types(("user.*",)), aggregate_types=("user", "vendor"), low=low, high=high),
    ]
    questions = [
        read.event(log, "id 7"),
        read.first_position(log),
        read.types(log),
        *(read.count(log, filter) for filter in (EQUAL | SEVERAL | ANY).values()),
        *(read.count(log, filter, 100) for filter in (EQUAL | SEVERAL | ANY).values()),
        *(counts.cells(log, scope, hourly=hourly) for scope in scopes for hourly in (False, True)),
        *(counts.aggregates(log, scope) for scope in scopes),
        aggregates.named(log, [("user", "7"), ("vendor", "8")]),
        *(
            aggregates.aggregates(log, filter, limit=PAGE, order=order, below=below)
            for filter in (heads(), heads(types=("user",)), heads(types=("user", "order")), heads(deleted=True))
            for order in ORDERS
            for below in (None, 1000)
        ),
        aggregates.count(log, heads(types=("user",)), 10),
        checkpoint.read(log),
        checkpoint.head(log),
        rejected.rejected(log, limit=PAGE),
        rejected.rejected(log, limit=PAGE, below=3),
        rejected.rejected(log, limit=PAGE, code="INVALID_JSON"),
        rejected.one(log, 1),
        rejected.numbers(log),
        rejected.numbers(log, "INVALID_JSON"),
        rejected.codes(log),
        expiry.expired(log),
    ]
    scanning = []
    for question in questions:
        for command in busy.heard(question):
            collection = next(iter(command.values()))
            # of the ledger of what expired, one small document a type, everything is wanted
            if collection != "expirations" and "COLLSCAN" in names(busy.explained(command)):
                scanning.append(command)
    assert scanning == []


def test_a_page_of_aggregates_is_found_without_going_through_the_others(busy: Busy) -> None:
    user = ("user",)
    for filter in (AggregateFilter(), AggregateFilter(user)):
        for below in (None, 2500):
            [command] = busy.heard(aggregates.aggregates(busy.log, filter, limit=20, below=below))
            explanation = busy.explained(command)
            assert "SORT" not in names(explanation)
            assert explanation["executionStats"]["totalDocsExamined"] <= 20


def test_aggregates_are_found_by_their_ids(busy: Busy) -> None:
    for filter, most in ((AggregateFilter(("user",), ("7", "8")), 2), (AggregateFilter(ids=("7",)), len(KINDS))):
        [command] = busy.heard(aggregates.aggregates(busy.log, filter, limit=20))
        assert busy.explained(command)["executionStats"]["totalDocsExamined"] <= most


async def test_mongodb_deletes_events_in_the_hour_in_which_they_expire(log: Log) -> None:
    indexes = await (await _list(log)).to_list(None)
    [ttl] = [index for index in indexes if "expireAfterSeconds" in index]
    assert (dict(ttl["key"]), ttl["expireAfterSeconds"]) == ({"expireAt": 1}, 0)


async def _list(log: Log) -> Any:
    listed: Any = log.events.list_indexes()
    # motor hands out the cursor, pymongo a coroutine that does
    return await listed if log.mongo.driver == "pymongo" else listed


async def test_preparing_twice_changes_nothing(log: Log) -> None:
    before = await log.events.index_information()
    await prepare(log)
    assert await log.events.index_information() == before
