"""A log of random events, and the filters and times that property tests use on it."""

import asyncio
import random
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import cache
from typing import Any, Final, Literal, TypeVar

from hypothesis import strategies as st
from pymongo import MongoClient

from eventscope.store.filters.filter import All, Among, Any_, Between, Filter, Ids, Not, TypePatterns
from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Driver
from eventscope.store.stats import expiry
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.message import AcceptedMessage
from eventscope.store.values.moment import DAY, EPOCH, HOUR, of
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.json_values import parts_of, path_conditions, some_json

T = TypeVar("T")

TIDIED_AT: Final = NOON + 20 * DAY
RETENTION: Final = Retention({"*": 30, "websocket.*": 7, "user.*": 0, "user.session.*": 0.1, "vendor.created": 3})
EVENT_TYPES: Final = (
    "user.created",
    "user.updated",
    "user.deleted",
    "user.session.started",
    "vendor.created",
    "vendor.updated",
    "vendor.deleted",
    "websocket.user.connected",
    "websocket.user.disconnected",
    "user",
    "user.created\n",
    "user\nupdated",
    "userXcreated",
    "a+b(c)[d]{e}|^$.\\d?",
    "ütf.✓.🦉",
)
AGGREGATE_TYPES: Final = ("user", "vendor", "websocket", "ütf\n")
AGGREGATE_IDS: Final = ("1", "2", "3", "a.b", "$id", "")
PEOPLE: Final = ("ada", "bob", "*", "x\ny")
CAUSES: Final = tuple(f"cause {n}" for n in range(12))

State = Literal["whole", "tidied"]


class RandomLog:
    """The same events in two logs: one as it was written, one tidied up and without expired events."""

    # not a dataclass: hypothesis prints the arguments of a test, and of a dataclass everything in it

    def __init__(
        self, runner: asyncio.Runner, clock: Clock, logs: dict[State, Log], events: list[EventDocument]
    ) -> None:
        self.clock = clock
        self.events = events
        self._runner = runner
        self._logs = logs

    def ask(self, question: Coroutine[Any, Any, T]) -> T:
        """The result of the read."""
        return self._runner.run(question)

    def at(self, moment: int, state: State) -> Log:
        """The log in that state with its clock set; a log that was tidied up cannot answer for earlier times."""
        self.clock.now = max(moment, TIDIED_AT) if state == "tidied" else moment
        return self._logs[state]


@contextmanager
def random_log(url: str, name: str, driver: Driver) -> Iterator[RandomLog]:
    """A random log in databases with that name, which are dropped at the end."""
    clock = Clock()
    names: dict[State, str] = {"whole": name, "tidied": f"{name}_tidied"}
    with asyncio.Runner() as runner, MongoClient[dict[str, Any]](url) as broom:
        stack = AsyncExitStack()
        try:
            logs = {
                state: runner.run(stack.enter_async_context(open_log(url, database, driver, clock=clock)))
                for state, database in names.items()
            }
            events, again = (runner.run(_fill(log, clock)) for log in logs.values())
            assert events == again, "chance has its seed, so both logs are the same"
            clock.now = TIDIED_AT
            runner.run(_clean(logs["tidied"], TIDIED_AT))
            yield RandomLog(runner, clock, logs, events)
        finally:
            runner.run(stack.aclose())
            for database in names.values():
                broom.drop_database(database)


async def _fill(log: Log, clock: Clock) -> list[EventDocument]:
    chance = random.Random(2100)
    await prepare(log)
    clock.now = NOON
    appender = await Appender.of(log)
    appender.retention = RETENTION
    events: list[EventDocument] = []
    for _ in range(45):
        clock.now += chance.choice([1, 999_999, HOUR // 3, HOUR, 5 * HOUR + 1, DAY, 2 * DAY])
        size = chance.choice([1, 3, 10, 30])
        events += (await appender.store(*(_message(chance, clock.now) for _ in range(size)))).events
    return events


def _message(chance: random.Random, now: int) -> AcceptedMessage:
    fields = {
        "aggregateType": chance.choice([*AGGREGATE_TYPES, None]),
        "aggregateId": chance.choice([*AGGREGATE_IDS, None]),
        "userId": chance.choice([*PEOPLE, None]),
        "correlationId": chance.choice([*CAUSES, None]),
        "causationId": chance.choice([*CAUSES, None]),
        "data": some_json(chance),
        "metadata": chance.choice([None, some_json(chance, 2)]),
    }
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    return event(chance.choice(EVENT_TYPES), f"{chance.getrandbits(64):x}", at=_timestamp(chance, now), **given)


def _timestamp(chance: random.Random, now: int) -> int | None:
    near = chance.randrange(-2 * HOUR, 2 * HOUR)
    return chance.choice(
        [None, now + near, now + near, now - now % HOUR, now - now % HOUR - 1, now - 40 * DAY + near, near, now + DAY]
    )


async def _clean(log: Log, now: int) -> None:
    # what MongoDB's TTL task does by its own clock
    await log.events.delete_many({"expireAt": {"$lte": bson_date(now)}})
    await expiry.tidy(log)


@cache
def moments(corpus: RandomLog) -> st.SearchStrategy[int]:
    """Times at which something changes, and their neighbours."""
    ends = sorted({of(e["expireAt"].replace(tzinfo=EPOCH.tzinfo)) for e in corpus.events if "expireAt" in e})
    return st.builds(int.__add__, st.sampled_from([NOON, *ends]), st.sampled_from([-1, 0, 1, HOUR // 2]))


@cache
def timestamps(corpus: RandomLog) -> st.SearchStrategy[int | None]:
    """Ends of time ranges: at events and hours, beside them, between them, open."""
    times = sorted({e["timestamp"] for e in corpus.events})
    edges = sorted({time - time % HOUR for time in times})
    near = st.builds(int.__add__, st.sampled_from([*times, *edges]), st.sampled_from([-1, 0, 1, 12_345_678, HOUR]))
    return st.none() | near


@cache
def patterns() -> st.SearchStrategy[str]:
    """Types, patterns made of types, and text that would mean something to a regular expression."""
    pieces = sorted({piece for type in EVENT_TYPES for piece in (type, *type.split("."), type[:3], type[-3:])})
    made = st.lists(st.sampled_from(["", *pieces, *".^$\n\\", ".*", "[a-z]", "(?i)"]), max_size=4)
    return st.sampled_from(EVENT_TYPES) | made.map("*".join) | made.map("".join) | st.sampled_from(["*", "**", ""])


def types() -> st.SearchStrategy[TypePatterns]:
    return st.lists(patterns(), max_size=4).map(lambda several: TypePatterns(tuple(several)))


@cache
def filters(corpus: RandomLog) -> st.SearchStrategy[Filter]:
    """Filters of every kind, nested."""
    ids = st.sampled_from([*(e["messageId"] for e in corpus.events), "unknown"])
    positions = st.none() | st.integers(-1, len(corpus.events) + 2)
    versions = st.none() | st.integers(-1, 40)
    known = [part for e in corpus.events for part in parts_of(e.get("data"))]
    leaves: st.SearchStrategy[Filter] = st.one_of(
        types(),
        _several(ids).map(Ids),
        st.builds(Among, st.just("aggregateType"), _several(st.sampled_from(AGGREGATE_TYPES))),
        st.builds(Among, st.just("aggregateId"), _several(st.sampled_from(AGGREGATE_IDS))),
        st.builds(Among, st.just("userId"), _several(st.sampled_from(PEOPLE))),
        st.builds(Among, st.sampled_from(["correlationId", "causationId"]), _several(st.sampled_from(CAUSES))),
        st.builds(Between, st.just("timestamp"), timestamps(corpus), timestamps(corpus)),
        st.builds(Between, st.just("position"), positions, positions),
        st.builds(Between, st.just("version"), versions, versions),
        path_conditions(known),
    )
    return st.recursive(
        leaves, lambda parts: _several(parts).map(All) | _several(parts).map(Any_) | parts.map(Not), max_leaves=5
    )


def _several(one: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(one, max_size=4).map(tuple)
