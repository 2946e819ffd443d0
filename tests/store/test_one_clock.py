"""Whatever is stored, expires, is deleted or tidied up, and whichever clock is wrong, stats equal a recount."""

import asyncio
import random
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Literal, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventscope.store.filters.mongo import bson_date
from eventscope.store.log import Log, open_log, prepare
from eventscope.store.mongo.clock import MongoClock
from eventscope.store.stats.expiry import Housekeeping
from eventscope.store.values.documents import EventDocument
from eventscope.store.values.moment import DAY, HOUR
from tests.store.recount import test_recount
from tests.store.recount.test_recount import DERIVED, RETENTION, TYPES
from tests.store.support.appender import NOON, Appender, event

Step: TypeAlias = (
    tuple[Literal["store"], list[tuple[str, str | None, int]]]
    | tuple[Literal["pass", "set wrong"], int]
    | tuple[Literal["delete", "tidy"]]
    | tuple[Literal["damage"], int]
)

EVENTS = st.tuples(
    st.sampled_from(TYPES), st.sampled_from([None, "a", "b"]), st.sampled_from([0, 1, HOUR, -HOUR, 3 * DAY, 100 * DAY])
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("store"), st.lists(EVENTS, min_size=1, max_size=5)),
    st.tuples(st.just("pass"), st.sampled_from([1, HOUR, 3 * HOUR, DAY, 29 * DAY, 40 * DAY])),
    st.tuples(st.just("set wrong"), st.sampled_from([-40 * DAY, 0, 40 * DAY])),
    st.tuples(st.just("delete")),
    st.tuples(st.just("tidy")),
    st.tuples(st.just("tidy")),
    st.tuples(st.just("damage"), st.integers(0, 1000)),
)


class Clocks(MongoClock):
    """MongoDB's clock, which stands still until it is set, and that of the machine, which may be wrong."""

    def __init__(self) -> None:
        super().__init__(wall=lambda: self.now + self.wrong)
        self.now, self.wrong = NOON, 0

    def __call__(self) -> int:
        return self.now


class Stage:
    """A database with one driver, for one example after the other."""

    def __init__(self, runner: asyncio.Runner, log: Log, clocks: Clocks) -> None:
        self._runner, self._log, self._clocks = runner, log, clocks

    def play(self, steps: list[Step]) -> None:
        """Play on an empty log."""
        self._runner.run(self._play(steps))

    async def _play(self, steps: list[Step]) -> None:
        log, clocks = self._log, self._clocks
        for name in ("events", "meta", *DERIVED):
            await log.mongo.collection(name).delete_many({})
        clocks.now, clocks.wrong = NOON, 0
        appender, housekeeping, stored, damaged = (
            await Appender.of(log),
            Housekeeping(log),
            list[EventDocument](),
            False,
        )
        appender.retention = RETENTION
        for step in steps:
            match step:
                case ("store", events):
                    of = [None if id is None else (type.partition(".")[0], id) for type, id, _ in events]
                    messages = [event(e[0], of=o, at=clocks.now - e[2]) for e, o in zip(events, of, strict=True)]
                    stored += (await appender.store(*messages)).events
                case ("pass", time):
                    clocks.now += time
                case ("set wrong", wrong):
                    clocks.wrong = wrong
                case ("delete",):
                    await log.events.delete_many({"expireAt": {"$lte": bson_date(clocks.now)}})
                case ("tidy",):
                    await housekeeping.look()
                case ("damage", seed):
                    damaged, chance = True, random.Random(seed)
                    for _ in range(chance.randrange(1, 6)):
                        await test_recount.damage(log, chance)
                    assert (await test_recount.mended(log)).left == []
                    appender.at = (await Appender.of(log)).at
            await test_recount.check(log, stored, whole=not damaged)
            assert await test_recount.wrong(log) == []


@pytest.fixture(scope="module", params=("motor", "pymongo"))
def stage(request: pytest.FixtureRequest, mongo_url: str) -> Iterator[Stage]:
    with asyncio.Runner() as runner:
        stack, clocks = AsyncExitStack(), Clocks()
        name = f"test_{uuid.uuid4().hex[:12]}"

        async def open_() -> Log:
            log = await stack.enter_async_context(open_log(mongo_url, name, request.param, clock=clocks))
            await prepare(log)
            return log

        log = runner.run(open_())
        yield Stage(runner, log, clocks)
        runner.run(_drop(log))
        runner.run(stack.aclose())


@given(st.lists(STEPS, max_size=10))
@settings(max_examples=25, deadline=None)
def test_statistics_always_equal_a_recount_of_unexpired_events(stage: Stage, steps: list[Step]) -> None:
    stage.play(steps)


async def _drop(log: Log) -> None:
    await log.mongo.client.drop_database(log.mongo.database.name)
