"""The catalogue of fields equals a recount of all events, whichever process dies while it is counted."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.background import end
from eventscope.errors import EventscopeError, LeaseLost
from eventscope.store.catalogue import counting
from eventscope.store.catalogue.fields import MOST_DEPTH, MOST_FIELDS, MOST_PAIRS, FieldCounts, FieldDrift
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.driver import Document
from eventscope.store.state import checkpoint
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import DAY
from eventscope.store.write.retention import Retention
from tests.store.support.appender import NOON, Appender, Clock, event
from tests.store.support.command_listener import Commands, log_with_listener
from tests.store.support.fields_model import as_document, as_recounted, recounted

Until = Callable[..., Coroutine[None, None, object]]


async def counted(log: Log, most: int = 500) -> None:
    while await counting.count(log, most):
        pass


async def assert_recount(log: Log, events: list[EventDocument]) -> None:
    wanted = recounted(events)
    for type, fields in zip(wanted, await counting.fields(log, list(wanted)), strict=True):
        assert as_recounted(fields) == as_document(wanted[type]), type
        assert fields.events == sum(e["type"] == type for e in events)
        assert fields.to == await checkpoint.head(log)
        assert not fields.truncated


names = st.sampled_from(["a", "b", "name", "a.b", "x[]", "\\", "$id", "$ref", "", "ü"])
leaves = st.none() | st.booleans() | st.integers(-5, 2**62) | st.floats(allow_nan=False) | st.sampled_from(["", "x"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
messages = st.tuples(st.sampled_from(["one", "two", "catalogue"]), st.none() | st.tuples(values))


@given(given_=st.lists(messages, min_size=1, max_size=25), most=st.integers(1, 9), stops=st.lists(st.integers(0, 9)))
@settings(max_examples=60, deadline=None)
def test_the_fields_of_any_events_equal_a_recount(
    mongo_url: str, given_: list[tuple[str, Any]], most: int, stops: list[int]
) -> None:
    async def run() -> None:
        name = f"catalogue_{os.getpid()}"
        async with open_log(mongo_url, name, "pymongo", clock=lambda: NOON) as log:
            await prepare(log)
            for one in await log.mongo.database.list_collection_names():
                await log.mongo.collection(one).delete_many({})
            appender, events = await Appender.of(log), list[EventDocument]()
            for n, (type, data) in enumerate(given_):
                more = {} if data is None else {"data": data[0]}
                events += (await appender.store(event(type, **more))).events
                if n in stops:
                    await counted(log, most)
            await counted(log, most)
            await assert_recount(log, events)
            await log.mongo.client.drop_database(name)

    asyncio.run(run())


def some(chance: random.Random, n: int) -> list[Any]:
    datas = [{"name": "x", "size": m} | ({"tags": ["x", 1]} if chance.random() < 0.3 else {}) for m in range(n)]
    return [event(chance.choice(["one", "two", "three"]), data=data) for data in datas]


async def test_counting_that_stops_after_any_command_counts_nothing_twice(
    mongo_url: str, log: Log, appender: Appender, clock: Clock
) -> None:
    events = (await appender.store(*some(random.Random(4), 200))).events
    ear, loop, answered = Commands(), asyncio.get_running_loop(), 0
    async with log_with_listener(mongo_url, log.mongo.database.name, log.mongo.driver, clock, ear) as mortal:
        for commands in [*range(1, 8), *range(1, 8)]:
            answered = 0
            task = asyncio.create_task(counting.count(mortal, 9))

            def stop(command: Document, victim: asyncio.Task[int] = task, after: int = commands) -> None:
                nonlocal answered
                answered += 1
                if answered == after:
                    loop.call_soon_threadsafe(victim.cancel)

            ear.after = stop
            await asyncio.gather(task, return_exceptions=True)
        ear.after = None
    assert 0 < await counting.counted_to(log) < len(events)
    await counted(log, 7)
    await assert_recount(log, list(events))


async def test_several_processes_at_once_count_each_event_once(log: Log, appender: Appender) -> None:
    events = (await appender.store(*some(random.Random(5), 300))).events

    async def counter() -> int:
        lost = 0
        while await counting.counted_to(log) < len(events):
            try:
                await counting.count(log, 7)
            except EventscopeError:
                lost += 1
        return lost

    assert sum(await asyncio.gather(counter(), counter(), counter())) > 0
    await assert_recount(log, list(events))


async def test_a_process_that_is_overtaken_while_counting_changes_nothing(
    log: Log, appender: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (await appender.store(*some(random.Random(6), 20))).events
    read = counting._documents
    await counting.count(log, 5)

    async def overtaken(log: Log, types: list[str]) -> dict[str, Document]:
        found = await read(log, types)
        monkeypatch.setattr(counting, "_documents", read)
        await counting.count(log, 9)
        return found

    monkeypatch.setattr(counting, "_documents", overtaken)
    with pytest.raises(LeaseLost):
        await counting.count(log, 7)
    await counted(log)
    await assert_recount(log, list(events))


KILLED = """
import asyncio, sys
from eventscope.store.catalogue import counting
from eventscope.store.log import open_log

async def main():
    async with open_log(sys.argv[1], sys.argv[2], "pymongo", clock=lambda: int(sys.argv[3])) as log:
        while True:
            await counting.count(log, 5)

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_nothing_half_counted(
    mongo_url: str, log: Log, appender: Appender, until: Until
) -> None:
    events = (await appender.store(*some(random.Random(7), 400))).events
    for _ in range(3):
        before = await counting.counted_to(log)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, mongo_url, log.mongo.database.name, str(NOON))
        )

        async def further(place: int = before) -> bool:
            return await counting.counted_to(log) >= place + 25

        await until(further)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await counted(log)
    await assert_recount(log, list(events))


async def test_only_the_holder_of_the_lease_counts(log: Log, appender: Appender, until: Until) -> None:
    events = (await appender.store(*some(random.Random(8), 30))).events
    standby = asyncio.create_task(counting.keep_up(log, "another"))
    holder = asyncio.create_task(counting.keep_up(log, "first"))

    async def done() -> bool:
        return await counting.counted_to(log) == len(events)

    await until(done)
    await end(standby, holder)
    await assert_recount(log, list(events))


async def test_a_new_field_and_a_new_type_of_a_field_are_drifts(log: Log, appender: Appender) -> None:
    datas: list[Any] = [{"a": 1}, {"a": 2.5}, {"a": 1, "b": None}, {"a": "1", "b": {"c": [1, "x"]}}, {"a": "2"}, [1]]
    await appender.store(*(event("one", data=data, at=NOON + n) for n, data in enumerate(datas)))
    await counted(log, 2)
    [fields] = await counting.fields(log, ["one"])
    assert fields.drifts == [
        FieldDrift(3, NOON + 2, "b", False, "NULL"),
        FieldDrift(4, NOON + 3, "a", True, "STRING"),
        FieldDrift(4, NOON + 3, "b", True, "OBJECT"),
        FieldDrift(4, NOON + 3, "b.c", False, "ARRAY"),
        FieldDrift(4, NOON + 3, "b.c[]", False, "NUMBER"),
        FieldDrift(4, NOON + 3, "b.c[]", True, "STRING"),
        FieldDrift(6, NOON + 5, "", False, "ARRAY"),
        FieldDrift(6, NOON + 5, "[]", False, "NUMBER"),
    ]
    assert fields.drift_count == 8


async def test_the_latest_100_drifts_are_kept_and_all_are_counted(log: Log, appender: Appender) -> None:
    await appender.store(*(event("one", data={f"f{n}": n}) for n in range(151)))
    await counted(log)
    [fields] = await counting.fields(log, ["one"])
    assert [drift.path for drift in fields.drifts] == [f"f{n}" for n in range(51, 151)]
    assert fields.drift_count == 150


def nested(depth: int) -> Any:
    return {"d": nested(depth - 1)} if depth else 1


AT_BOUNDS: list[tuple[Any, Any]] = [
    (nested(MOST_DEPTH), nested(MOST_DEPTH + 1)),
    ({f"f{n}": n for n in range(MOST_FIELDS)}, {f"f{n}": n for n in range(MOST_FIELDS + 1)}),
    ({"x" * 200: 1}, {"x" * 201: 1}),
]


@pytest.mark.parametrize(("within", "beyond"), AT_BOUNDS, ids=["depth", "fields", "path"])
async def test_what_is_beyond_a_limit_is_reported_as_left_out(
    log: Log, appender: Appender, within: Any, beyond: Any
) -> None:
    await appender.store(event("within", data=within), event("beyond", data=beyond))
    await counted(log)
    inside, outside = await counting.fields(log, ["within", "beyond"])
    assert (inside.truncated, outside.truncated) == (False, True)
    assert outside.occurrences.keys() <= inside.occurrences.keys()


async def test_at_most_1000_fields_of_one_event_are_examined(log: Log, appender: Appender) -> None:
    await appender.store(*(event("one", data={f"f{n}": n}) for n in (MOST_PAIRS - 1, MOST_PAIRS)))
    await appender.store(event("one", data={f"f{n}": n for n in range(MOST_PAIRS + 1)}))
    await counted(log)
    [fields] = await counting.fields(log, ["one"])
    assert fields.truncated
    assert len(fields.occurrences) == MOST_FIELDS
    assert (fields.occurrences[f"f{MOST_PAIRS - 1}"].count, fields.occurrences[f"f{MOST_PAIRS}"].count) == (2, 1)


async def test_counts_stay_when_events_expire_and_expired_events_are_not_counted(
    log: Log, appender: Appender, clock: Clock
) -> None:
    appender.retention = Retention({"*": 1})
    await appender.store(event("one", data={"a": 1}))
    await counted(log)
    await appender.store(event("one", data={"b": 1}))
    clock.now = NOON + DAY
    await counted(log)
    [fields] = await counting.fields(log, ["one"])
    assert (fields.events, list(fields.occurrences), fields.to) == (1, ["a"], 2)


async def test_nothing_is_known_of_a_type_that_was_not_counted(log: Log) -> None:
    assert await counting.fields(log, ["one"]) == [FieldCounts()]
    assert await counting.count(log) == 0


async def test_a_portion_that_was_written_except_for_its_checkpoint_is_not_counted_again(
    log: Log, appender: Appender
) -> None:
    events = (await appender.store(*some(random.Random(9), 100))).events
    await counting.count(log, 60)
    for place in (0, 17, 59):
        await log.meta.update_one({"_id": counting.ID}, {"$set": {"position": place}})
        await counting.count(log, 13)
    await counted(log)
    await assert_recount(log, list(events))


async def test_of_two_processes_that_begin_at_once_one_fails(
    log: Log, appender: Appender, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = (await appender.store(*some(random.Random(9), 5))).events
    await counted(log)

    async def stale(log: Log) -> int:
        return 0

    with monkeypatch.context() as patch, pytest.raises(LeaseLost):
        patch.setattr(counting, "counted_to", stale)
        await counting.count(log)
    await assert_recount(log, list(events))
