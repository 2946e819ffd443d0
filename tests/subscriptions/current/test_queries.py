"""Live queries: answered at once, then at their pace while relevant events arrive; equal ones share their reads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.errors import Unavailable
from eventscope.resolvers import stats
from eventscope.resolvers.stats import Stats
from eventscope.settings import Settings
from eventscope.store.filters.filter import Among, TypePatterns
from eventscope.store.log import Log
from eventscope.store.stats.counts import Scope
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.queries import SharedQueries, SharedQuery
from eventscope.subscriptions.live.feed import Feed
from eventscope.subscriptions.observer import Unobserved
from tests.subscriptions.support.filling import beat, store, tell, user
from tests.support.until import until

EVERYTHING = Scope()


@dataclass
class Pace:
    """A clock that advances only when the test says so."""

    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Wait for `tick`."""
        self.asked.append(seconds)
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]

    async def tick(self) -> None:
        """Let the awaited time pass."""
        await until(lambda: self.waiting)
        self.waiting.pop().set_result(None)


@dataclass
class Counting:
    """Statistics of the log, kept up to date."""

    log: Log
    readings: SharedQueries
    pace: Pace
    reads: int = 0
    failing: bool = False

    def asked(self, scope: Scope, seconds: float) -> SharedQuery[Stats]:
        async def read() -> Stats:
            self.reads += 1
            if self.failing:
                raise Unavailable("the log is away")
            return await stats.shared_stats(self.log, scope)

        return SharedQuery(scope, stats.as_filter(scope), seconds, read, lambda found: frozenset(found.cells))

    @asynccontextmanager
    async def followed(self, scope: Scope = EVERYTHING, seconds: float = 1.0) -> AsyncIterator[AsyncIterator[int]]:
        async def totals() -> AsyncGenerator[int, None]:
            async with aclosing(self.readings.follow(self.asked(scope, seconds))) as found:
                async for one in found:
                    yield one.total_events

        async with aclosing(totals()) as found, asyncio.timeout(60):
            yield found

    async def driven(self, totals: AsyncIterator[int]) -> int:
        """The next total; time passes until it comes."""
        heard = asyncio.ensure_future(anext(totals))
        while not heard.done():
            if self.pace.waiting:
                await self.pace.tick()
            await asyncio.wait([heard], timeout=0.01)
        return await heard


class Arrived(Unobserved):
    """Counts the events that have arrived live."""

    events = 0

    def on_arrival(self, events: Sequence[EventDocument]) -> None:
        self.events += len(events)


@pytest.fixture
def counting(log: Log, feed: Feed) -> Counting:
    pace = Pace()
    return Counting(log, SharedQueries(ChangeNotifier(log, feed), pace.sleep), pace)


async def test_the_value_is_delivered_at_once_and_again_after_the_pause_if_something_changed(
    counting: Counting, log: Log, client: Client, settings: Settings
) -> None:
    await store(log, {}, {})
    async with counting.followed(seconds=7.5) as totals:
        assert await anext(totals) == 2
        await beat(log, client, settings.stream, 2)
        for _ in range(6):
            await tell(log, client, settings.stream, await store(log, {}))
        waiting = asyncio.ensure_future(anext(totals))
        await until(lambda: counting.pace.waiting)
        assert not waiting.done()
        await counting.pace.tick()
        total = await waiting
        while total < 8:
            total = await counting.driven(totals)
        assert set(counting.pace.asked) == {7.5}


async def test_events_that_do_not_match_cause_no_read(
    counting: Counting, feed: Feed, log: Log, client: Client, settings: Settings
) -> None:
    users = Scope(types=TypePatterns(("user.*",)), low=0, among=(Among("aggregateId", ("ada",)),))
    arrived = Arrived()
    feed.observer = arrived
    async with counting.followed(users) as totals:
        assert await anext(totals) == 0
        await beat(log, client, settings.stream, 0)
        await tell(log, client, settings.stream, await store(log, user("ada")))
        assert await counting.driven(totals) == 1
        before = counting.reads
        for n in range(2, 22):
            other = [user("grace"), user("ada", type="pet.fed"), user("ada", timestamp=-5)][n % 3]
            await tell(log, client, settings.stream, await store(log, other))
            while arrived.events < n or counting.pace.waiting:
                if counting.pace.waiting:
                    await counting.pace.tick()
                await asyncio.sleep(0.01)
        await tell(log, client, settings.stream, await store(log, user("ada")))
        assert await counting.driven(totals) == 2
        assert counting.reads <= before + 2


async def test_equal_queries_share_one_read_and_all_others_have_their_own(
    counting: Counting, log: Log, client: Client, settings: Settings
) -> None:
    await store(log, {})
    async with AsyncExitStack() as stack:
        all = [await stack.enter_async_context(counting.followed()) for _ in range(200)]
        assert [await anext(one) for one in all] == [1] * 200
        assert counting.reads <= 3
        assert counting.readings.count == 1
        await beat(log, client, settings.stream, 1)
        await until(lambda: counting.pace.waiting)
        before = counting.reads
        await tell(log, client, settings.stream, await store(log, {}))
        await counting.pace.tick()
        assert [await anext(one) for one in all] == [2] * 200
        assert counting.reads <= before + 2
        for scope, seconds in ((EVERYTHING, 2.0), (Scope(low=0), 1.0)):
            assert await anext(await stack.enter_async_context(counting.followed(scope, seconds))) == 2
        assert counting.readings.count == 3
    assert counting.readings.count == 0


async def test_a_subscriber_that_joins_during_the_pause_gets_the_present_value_and_the_others_get_it_later(
    counting: Counting, log: Log, client: Client, settings: Settings
) -> None:
    async with counting.followed() as early:
        assert await anext(early) == 0
        await beat(log, client, settings.stream, 0)
        await until(lambda: counting.pace.waiting)
        heard = asyncio.ensure_future(anext(early))
        await tell(log, client, settings.stream, await store(log, {}))

        async def seen() -> bool:
            async with counting.followed() as late:
                return await anext(late) == 1

        await until(seen)
        assert not heard.done()
        await counting.pace.tick()
        assert await heard == 1


async def test_a_change_that_the_feed_lost_causes_a_read_too(
    log: Log, feed: Feed, client: Client, settings: Settings
) -> None:
    pace = Pace()
    counting = Counting(log, SharedQueries(ChangeNotifier(log, feed, look_seconds=0.05), pace.sleep), pace)
    async with counting.followed() as totals:
        assert await anext(totals) == 0
        for n in range(1, 4):
            await store(log, {})
            if n > 1:
                await beat(log, client, settings.stream, n)
            assert await counting.driven(totals) == n


async def test_a_read_that_fails_ends_the_query_for_all_and_the_next_subscriber_starts_afresh(
    counting: Counting, log: Log, client: Client, settings: Settings
) -> None:
    async with counting.followed() as one, counting.followed() as other:
        assert await anext(one) == await anext(other) == 0
        await beat(log, client, settings.stream, 0)
        await until(lambda: counting.pace.waiting)
        counting.failing = True
        await tell(log, client, settings.stream, await store(log, {}))
        for each in (one, other):
            with pytest.raises(Unavailable):
                await counting.driven(each)
    with pytest.raises(Unavailable):
        async with counting.followed() as third:
            await anext(third)
    assert counting.readings.count == 0
    counting.failing = False
    async with counting.followed() as fourth:
        assert await anext(fourth) == 1


async def test_when_the_last_subscriber_leaves_nothing_is_left_behind(counting: Counting) -> None:
    before = asyncio.all_tasks()
    for _ in range(20):
        async with counting.followed() as one, counting.followed() as other:
            await anext(one)
            leaving = asyncio.ensure_future(anext(other))
            await until(lambda: counting.readings.count == 1)
            await cancel(leaving)
    await until(lambda: asyncio.all_tasks() <= before)
    assert counting.readings.count == 0
