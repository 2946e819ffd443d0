"""A typical log of any size, in which every shape of query finds something."""

import asyncio
import random
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final

from pymongo import MongoClient

from eventscope.store.filters.filter import Holds
from eventscope.store.filters.paths import Compares, Equals, Path, Reads
from eventscope.store.log import Log, prepare
from eventscope.store.mongo.driver import Document, Driver
from eventscope.store.values.message import AcceptedMessage
from eventscope.store.values.moment import HOUR
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event, rejected_message
from tests.store.support.command_listener import Commands, log_with_listener
from tests.store.support.filter_shapes import Samples
from tests.store.support.query_plans import Explainer

KINDS: Final = ("user", "vendor", "order", "websocket")
INDEXED: Final = ("data.email", "data.order.id", "data.items.sku")
HOURS: Final = 1000  # from the first event to the last
EMAIL, ORDER = Path("data", ("email",)), Path("data", ("order", "id"))

SAMPLES: Final = Samples(
    middle=NOON - HOURS // 2 * HOUR,
    within=NOON - HOURS // 2 * HOUR + HOUR // 3,
    busiest=1,  # of 20,000
    cursor=1500,
    ids=tuple(f"id {n}" for n in range(0, 3000, 100)),
    aggregate_ids=("7", "8", "9"),
    versions=(3, 5),
    users=("user 7", "user 8"),
    correlations=("cause 100", "cause 500"),
    causations=("cause 100", "cause 50"),
    indexed=Holds(EMAIL, (Equals(("100@example.org",)),)),
    indexed_several=Holds(ORDER, (Equals((50, 51, 60.0)),)),
    indexed_list=Holds(Path("data", ("items", "sku")), (Equals(("100-1",)),)),
    indexed_range=Holds(ORDER, (Compares("gte", 100), Compares("lt", 110))),
    indexed_start=Holds(EMAIL, (Reads("startsWith", "100@"),)),
    free=Holds(Path("data", ("name",)), (Equals(("Ada",)),)),
    free_object=Holds(Path("data", ("order",)), (Equals(({"total": 5, "id": 7},)),)),
)


@contextmanager
def busy_log(url: str, driver: Driver, events: int) -> Iterator[Explainer]:
    """Such a log in a database of its own, dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    ear = Commands()
    with asyncio.Runner() as runner, MongoClient[Document](url) as broom:
        stack = AsyncExitStack()
        try:
            log = runner.run(stack.enter_async_context(log_with_listener(url, name, driver, Clock(), ear, INDEXED)))
            runner.run(_fill(log, events))
            yield Explainer(runner, log, ear)
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
        await appender.store(*messages, rejected_message(b"{"))


def _message(chance: random.Random, n: int, events: int) -> AcceptedMessage:
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
