"""A log of the usual kind and of any size, and what MongoDB says of the questions that it is asked."""

import asyncio
import random
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from pymongo import MongoClient

from eventscope.store import read
from eventscope.store.driver import Document, Driver
from eventscope.store.filter import EVERYTHING, All, Among, Any_, Between, Exists, Filter, Holds, Ids, Not, Types
from eventscope.store.log import Log, prepare
from eventscope.store.message import Accepted
from eventscope.store.moment import HOUR
from eventscope.store.paths import Compares, Equals, Path, Reads
from eventscope.store.retention import Retention
from tests.store.appender import NOON, Appender, Clock, event, refused
from tests.store.listening import Ear, listening

KINDS = ("user", "vendor", "order", "websocket")
INDEXED = ("data.email", "data.order.id", "data.items.sku")
HOURS = 1000  # from the first event to the last
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

    def page(self, filter: Filter, **more: Any) -> "Looked":
        """How MongoDB finds a page of events."""
        self._ear.heard.clear()
        found = self.run(read.page(self.log, filter, limit=PAGE, **more))
        plans = [self.explained(command) for command in list(self._ear.heard) if _is_page(command)]
        return Looked(len(found.events), plans)


@dataclass(frozen=True, slots=True)
class Looked:
    """What it took to find so many events."""

    returned: int
    plans: list[Document]

    @property
    def examined(self) -> int:
        """How many documents were looked at."""
        return sum(plan["executionStats"]["totalDocsExamined"] for plan in self.plans)

    @property
    def stages(self) -> set[str]:
        """What was done."""
        return set[str]().union(*map(names, self.plans))


def _is_page(command: Document) -> bool:
    # before a log is gone through, its first position is asked for
    return command.get("find") == "events" and command["filter"] != {}


@contextmanager
def busy_on(url: str, driver: Driver, events: int) -> Iterator[Busy]:
    """Such a log in a database of its own, dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    ear = Ear()
    with asyncio.Runner() as runner, MongoClient[Document](url) as broom:
        stack = AsyncExitStack()
        try:
            log = runner.run(stack.enter_async_context(listening(url, name, driver, Clock(), ear, INDEXED)))
            runner.run(_fill(log, events))
            yield Busy(runner, log, ear)
        finally:
            runner.run(stack.aclose())
            broom.drop_database(name)


async def _fill(log: Log, events: int) -> None:
    chance = random.Random(8)
    await prepare(log)
    appender = await Appender.of(log)
    appender.retention = Retention({"*": 30})
    for start in range(0, events, 500):
        messages = (_message(chance, n, events) for n in range(start + 1, min(start + 500, events) + 1))
        await appender.store(*messages, refused(b"{"))


def _message(chance: random.Random, n: int, events: int) -> Accepted:
    data: Document = {"n": n, "name": chance.choice(["Ada", "Grace", "Edsger"])}
    if n % 2:
        data |= {"email": f"{n // 10}@example.org", "order": {"id": n // 20, "total": chance.randrange(100)}}
        data["items"] = [{"sku": f"{n // 10}-{m}", "price": chance.randrange(100)} for m in range(2)]
    kind = chance.choice(KINDS)
    return event(
        kind + chance.choice([".created", ".updated", ".updated", ".updated", ".deleted"]),
        f"id {n}",
        of=(kind, str(chance.randrange(100))),
        at=NOON - (events - n) * HOURS * HOUR // events + chance.randrange(HOUR // 60),
        userId=f"user {chance.randrange(20)}",
        correlationId=f"cause {n // 20}",
        causationId=f"cause {n // 20}",
        data=data,
        metadata={"tenant": chance.randrange(10)},
    )


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


MIDDLE = NOON - HOURS // 2 * HOUR
TEN_HOURS = Between("timestamp", MIDDLE, MIDDLE + 10 * HOUR - 1)
OWN: dict[str, Filter] = {
    "type": Types(("user.updated",)),
    "aggregate type": Among("aggregateType", ("user",)),
    "aggregate id": Among("aggregateId", ("7",)),
    "user": Among("userId", ("user 7",)),
    "correlation": Among("correlationId", ("cause 100",)),
    "causation": Among("causationId", ("cause 100",)),
}
AGGREGATE = All((Among("aggregateType", ("user",)), Among("aggregateId", ("7",))))

# an index gives the events of a page in their order, and at most three times as many besides
IN_ORDER: dict[str, Filter] = {
    "no condition": EVERYTHING,
    "positions": Between("position", 1000, 1200),
    "ten hours": TEN_HOURS,
    "until an hour": Between("timestamp", None, MIDDLE),
    "from an hour on": Between("timestamp", MIDDLE, None),
    **OWN,
    **{f"{name} and type": All((filter, Types(("user.deleted",)))) for name, filter in OWN.items() if name != "type"},
    **{f"{name} and ten hours": All((filter, TEN_HOURS)) for name, filter in OWN.items()},
    "aggregate": AGGREGATE,
    "aggregate and type": All((AGGREGATE, Types(("user.deleted",)))),
    "aggregate and ten hours": All((AGGREGATE, TEN_HOURS)),
    "types": Types(("user.created", "vendor.created", "order.updated")),
    "a pattern of types": Types(("user.*",)),
    "patterns of types": Types(("*.created", "user.*")),
    "every type": Types(("*",)),
    "not these types": Not(Types(("*.updated",))),
    "aggregate types": Among("aggregateType", ("user", "vendor")),
    "aggregate ids": Among("aggregateId", ("7", "8", "9")),
    "users": Among("userId", ("user 7", "user 8")),
    "correlations": Among("correlationId", ("cause 100", "cause 50")),
    "causations": Among("causationId", ("cause 100", "cause 50")),
    "one or the other": Any_((Among("userId", ("user 7",)), Among("correlationId", ("cause 100",)))),
    "a user or a pattern": Any_((Among("userId", ("user 7",)), Types(("vendor.*",)))),
    "an aggregate or a user": Any_((AGGREGATE, Among("userId", ("user 7",)))),
    "one or the other of some hours": All(
        (Any_((Among("userId", ("user 7",)), Among("correlationId", ("cause 500",)))), TEN_HOURS)
    ),
    "an indexed path": Holds(Path("data", ("email",)), (Equals(("100@example.org",)),)),
    "an indexed path with one of some values": Holds(Path("data", ("order", "id")), (Equals((50, 51, 60.0)),)),
    "an indexed path through a list": Holds(Path("data", ("items", "sku")), (Equals(("100-1",)),)),
}
# an index finds the events; MongoDB puts them in order itself
SORTED: dict[str, Filter] = {
    "one id": Ids(("id 1000",)),
    "ids": Ids(tuple(f"id {n}" for n in range(0, 3000, 100))),
    "versions": All((AGGREGATE, Between("version", 3, 5))),
}
# no index serves these: the log is gone through, a window at a time
FREE: dict[str, Filter] = {
    "a path": Holds(Path("data", ("name",)), (Equals(("Ada",)),)),
    "a path that leads nowhere": Holds(Path("data", ("nowhere",)), (Equals((1,)),)),
    "a path and an object": Holds(Path("data", ("order",)), (Equals(({"total": 5, "id": 7},)),)),
    "a range of an indexed path": Holds(Path("data", ("order", "id")), (Compares("gte", 100), Compares("lt", 110))),
    "the start of an indexed path": Holds(Path("data", ("email",)), (Reads("startsWith", "100@"),)),
    "an indexed path that is null": Holds(Path("data", ("email",)), (Equals((None,)),)),
    "whether a path leads anywhere": Exists(Path("data", ("email",))),
    "not a user": Not(Among("userId", ("user 7",))),
    "not of an indexed path": Not(Holds(Path("data", ("email",)), (Equals(("100@example.org",)),))),
    "not within ten hours": Not(TEN_HOURS),
    "versions of any aggregate": Between("version", 3, 5),
    "a user or a path": Any_((Among("userId", ("user 7",)), Exists(Path("data", ("nowhere",))))),
}
PLACES: dict[str, dict[str, Any]] = {
    "the newest": {"newest_first": True},
    "the oldest": {},
    "after a cursor": {"above": 1500},
    "before a cursor": {"below": 1500, "newest_first": True},
}
