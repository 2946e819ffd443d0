"""Reading events: a reader that has seen a position has seen every event up to it that will ever exist (I1)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from eventscope.errors import TooComplex
from eventscope.store.events import pages as read
from eventscope.store.events import types
from eventscope.store.filters.filter import EVERYTHING, All, Among, Any_, Between, Filter, Holds, Ids, Not, TypePatterns
from eventscope.store.filters.paths import Equals, Path
from eventscope.store.log import Log, open_log
from eventscope.store.mongo.driver import Driver
from tests.store.support.appender import Appender, Clock, event
from tests.store.support.command_listener import Commands, log_with_listener

LARGE = {"text": "x" * 1_000_000}
BY_PATH = Holds(Path("metadata", ("on",)), (Equals((True,)),))


class Meanwhile:
    """Stores one more batch at the moment when MongoDB has sent the first part of its answer to a query."""

    def __init__(self, url: str, database: str, appender: Appender, ear: Commands, question: dict[str, str]) -> None:
        self._place = (url, database)
        self._appender = appender
        self._question = question
        self._ear = ear
        self.stored = False
        ear.after = self._store

    def _store(self, command: dict[str, Any]) -> None:
        if not self.stored and self._question.items() <= command.items():
            self.stored = True
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(asyncio.run, self._append()).result()

    async def _append(self) -> None:
        async with open_log(*self._place, clock=self._appender.log.clock) as log:
            self._appender.log = log
            await self._appender.store(event("rare.one", id="rare", userId="ann"), event("usual.one", userId="bob"))


FIND = {"find": "events"}
TYPES = {"aggregate": "rollups"}


@pytest.mark.parametrize(
    ("filter", "question"),
    [
        (TypePatterns(("*",)), FIND),
        (TypePatterns(("*",)), TYPES),
        (TypePatterns(("rare.*", "usual.one")), TYPES),
        (TypePatterns(("rare.one", "usual.one")), FIND),
        (Among("userId", ("ann", "bob")), FIND),
        (All((TypePatterns(("usual.one", "rare.one")), Between("timestamp", 0, None))), FIND),
        (Ids(("rare", *(f"usual {n}" for n in range(1, 151)))), FIND),
        (EVERYTHING, FIND),
        (Not(TypePatterns(("other.*",))), FIND),
        (Not(TypePatterns(("other.*",))), TYPES),
        (Any_((TypePatterns(("rare.*",)), Among("userId", ("bob",)))), FIND),
        (Any_((TypePatterns(("rare.*",)), Among("userId", ("bob",)))), TYPES),
        (Any_((Between("timestamp", 0, None), Among("userId", ("bob",)))), FIND),
        (Holds(Path("data", ()), (Equals((None,)),)), FIND),
        (Any_((Not(Among("userId", ("bob",))), TypePatterns(("usual.one",)))), FIND),
    ],
    ids=[
        "all types",
        "all types by name",
        "a pattern",
        "two types",
        "two users",
        "types and time",
        "ids",
        "everything",
        "not these types",
        "not these types by name",
        "a pattern or a user",
        "a pattern by name or a user",
        "a time or a user",
        "a path",
        "not a user or a type",
    ],
)
@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
async def test_a_page_has_no_hole_although_events_are_stored_while_it_is_read(
    log: Log,
    appender: Appender,
    mongo_url: str,
    emptied_database: str,
    driver: Driver,
    clock: Clock,
    filter: Filter,
    question: dict[str, str],
    newest_first: bool,
) -> None:
    await appender.store(*(event("usual.one", id=f"usual {n}", userId="bob") for n in range(1, 151)))
    ear = Commands()
    async with log_with_listener(mongo_url, emptied_database, driver, clock, ear) as heard:
        meanwhile = Meanwhile(mongo_url, emptied_database, appender, ear, question)
        page = await read.events(heard, filter, limit=1000, newest_first=newest_first)
    assert meanwhile.stored
    positions = sorted(e["_id"] for e in page)
    assert len(positions) >= 150
    assert positions == list(range(1, max(positions) + 1))


async def test_an_event_is_found_by_its_message_id(log: Log, appender: Appender) -> None:
    await appender.store(event(id="a"), event(id="b", data=[1]))
    found = await read.event(log, "b")
    assert found is not None
    assert (found["_id"], found["data"]) == (2, [1])
    assert await read.event(log, "c") is None


async def test_the_types_of_a_log_are_known_in_alphabetical_order(log: Log, appender: Appender) -> None:
    assert await types.types(log) == []
    await appender.store(event("b"), event("a.b"), event("b"), event("ä"))
    assert await types.types(log) == ["a.b", "b", "ä"]


async def test_an_empty_log_has_no_first_position(log: Log) -> None:
    assert await read.first_position(log) is None
    assert await read.events(log, EVERYTHING, limit=10) == []
    assert await read.events(log, TypePatterns(("*",)), limit=10) == []
    assert await read.count(log, EVERYTHING) == 0


@pytest.mark.parametrize("filter", [EVERYTHING, Among("userId", ("ann",)), BY_PATH], ids=["all", "user", "path"])
@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
async def test_a_page_of_large_events_ends_at_the_size_limit_and_says_so(
    appender: Appender, filter: Filter, newest_first: bool
) -> None:
    for _ in range(4):
        await appender.store(*(event(userId="ann", data=LARGE, metadata={"on": True}) for _ in range(10)))
    seen: list[int] = []
    pages = 0
    stopped: int | None = None
    while not pages or stopped is not None:
        place = {"below" if newest_first else "above": stopped}
        found = await read.page(appender.log, filter, limit=100, newest_first=newest_first, **place)  # type: ignore[arg-type]  # both take a position
        pages, stopped = pages + 1, found.stopped_at
        seen += [event["_id"] for event in found.events]
        assert found.full is (stopped is not None)
        assert stopped in (None, seen[-1])
        assert sum(len(event["data"]["text"]) for event in found.events) < 32 * 1024**2
    assert pages in (2, 3)
    assert seen == (list(range(40, 0, -1)) if newest_first else list(range(1, 41)))


async def test_a_complete_page_is_reported_as_complete_even_if_it_is_large(appender: Appender) -> None:
    await appender.store(*(event(data=LARGE) for _ in range(10)))
    found = await read.page(appender.log, EVERYTHING, limit=100)
    assert (len(found.events), found.stopped_at, found.full) == (10, None, False)


async def test_a_caller_that_needs_all_of_what_is_too_large_gets_an_error(appender: Appender) -> None:
    for _ in range(2):
        await appender.store(*(event(data=LARGE) for _ in range(10)))
    with pytest.raises(TooComplex, match="larger than an answer may be"):
        await read.events(appender.log, EVERYTHING, limit=100)
    assert len(await read.events(appender.log, EVERYTHING, limit=15)) == 15


async def test_fields_that_are_not_requested_do_not_count_towards_the_size(appender: Appender) -> None:
    for _ in range(2):
        await appender.store(*(event(data=LARGE) for _ in range(10)))
    found = await read.page(appender.log, EVERYTHING, limit=100, fields=("type",))
    assert (len(found.events), found.stopped_at) == (20, None)
