"""Watching aggregates: the latest state of each is never missed, whatever is lost on the way, and reads are shared."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from nats.aio.client import Client

from eventscope.background import cancel
from eventscope.errors import EventscopeError
from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.log import Log, open_log
from eventscope.store.values import moment
from eventscope.subscriptions.current.aggregates import AggregateUpdates
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.live.feed import Feed, open_feed
from tests.subscriptions.support.filling import beat, store, tell, user
from tests.support.until import until


@pytest.fixture
def watching(log: Log, feed: Feed) -> AggregateUpdates:
    return AggregateUpdates(log, ChangeNotifier(log, feed))


@asynccontextmanager
async def watched(
    watching: AggregateUpdates, id: str, type: str = "user"
) -> AsyncIterator[AsyncIterator[AggregateSummary]]:
    async with aclosing(watching.follow(type, id)) as heads, asyncio.timeout(60):
        yield heads


async def version(heads: AsyncIterator[AggregateSummary], wanted: int) -> AggregateSummary:
    """The head with that version, and none above it."""
    while (head := await anext(heads)).version < wanted:
        pass
    assert head.version == wanted
    return head


async def test_the_head_is_delivered_at_once_and_again_when_it_changes(
    log: Log, watching: AggregateUpdates, client: Client, settings: Settings
) -> None:
    await store(log, user("ada"), user("ada"))
    async with watched(watching, "ada") as heads:
        head = await anext(heads)
        assert (head.type, head.id, head.version) == ("user", "ada", 2)
        await tell(log, client, settings.stream, await store(log, user("ada", type="user.deleted")))
        head = await version(heads, 3)
        assert (head.last_event_type, head.deleted) == ("user.deleted", True)


async def test_an_aggregate_that_does_not_exist_yet_is_delivered_with_its_first_event(
    log: Log, watching: AggregateUpdates, client: Client, settings: Settings
) -> None:
    await store(log, user("grace"))
    async with watched(watching, "ada") as heads:
        waiting = asyncio.ensure_future(anext(heads))
        async with watched(watching, "grace") as others:
            assert (await anext(others)).version == 1  # so the other one was searched for too, and not found
            assert not waiting.done()
            await tell(log, client, settings.stream, await store(log, user("ada")))
            assert (await waiting).version == 1


async def test_changes_that_nobody_waited_for_are_merged_into_the_latest(
    log: Log, watching: AggregateUpdates, client: Client, settings: Settings
) -> None:
    await store(log, user("ada"))
    async with watched(watching, "ada") as slow, watched(watching, "ada") as quick:
        assert (await anext(slow)).version == (await anext(quick)).version == 1
        for _ in range(5):
            await tell(log, client, settings.stream, await store(log, user("ada")))
        await version(quick, 6)
        assert (await anext(slow)).version == 6


async def test_changes_of_other_aggregates_are_not_delivered(
    log: Log, watching: AggregateUpdates, client: Client, settings: Settings
) -> None:
    await store(log, user("ada"))
    async with watched(watching, "ada") as heads, watched(watching, "grace") as others:
        await anext(heads)
        await tell(
            log, client, settings.stream, await store(log, user("grace"), {}, user("ada") | {"aggregateType": "pet"})
        )
        assert (await anext(others)).version == 1
        await tell(log, client, settings.stream, await store(log, user("ada")))
        assert (await anext(heads)).version == 2


async def test_a_change_that_the_feed_lost_is_noticed_with_its_next_message(
    log: Log, watching: AggregateUpdates, feed: Feed, client: Client, settings: Settings
) -> None:
    await store(log, user("ada"))
    async with watched(watching, "ada") as heads:
        await beat(log, client, settings.stream, 1)
        await anext(heads)
        for lost in (2, 3):
            await store(log, user("ada"))
            await beat(log, client, settings.stream, lost)
            await version(heads, lost)


async def test_a_change_is_noticed_although_the_feed_is_silent(log: Log, feed: Feed) -> None:
    watching = AggregateUpdates(log, ChangeNotifier(log, feed, look_seconds=0.05))
    async with watched(watching, "ada") as heads:
        await store(log, user("ada"))
        await version(heads, 1)
        await store(log, user("ada"))
        await version(heads, 2)


async def test_an_overflow_of_the_queue_hides_no_change(log: Log, client: Client, settings: Settings) -> None:
    async with (
        open_feed(log, client, settings.stream, most_waiting=3) as feed,
        watched(AggregateUpdates(log, ChangeNotifier(log, feed)), "ada") as heads,
    ):
        for _ in range(4):
            events = await store(log, *(user("ada") for _ in range(10)))
            await tell(log, client, settings.stream, events)
            await beat(log, client, settings.stream, events[-1]["_id"])
            await version(heads, events[-1]["_id"])


async def test_expiring_events_change_the_head(log: Log, feed: Feed, client: Client, settings: Settings) -> None:
    hours = [moment.now() // moment.HOUR]
    moved = replace(log, clock=lambda: hours[0] * moment.HOUR)
    await store(moved, user("ada"), user("ada"), days=1, recorded_at=moved.clock())
    await store(moved, user("ada"))
    async with watched(AggregateUpdates(moved, ChangeNotifier(moved, feed)), "ada") as heads:
        assert (await version(heads, 3)).event_count == 3
        hours[0] += 25
        await beat(log, client, settings.stream, 3)
        assert (await version(heads, 3)).event_count == 1


async def test_a_thousand_subscribers_are_served_by_few_reads(
    log: Log, feed: Feed, client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching = AggregateUpdates(log, ChangeNotifier(log, feed), most_at_once=300)
    reads: list[int] = []
    named = aggregates.by_name

    async def counted(log: Log, names: list[tuple[str, str]]) -> list[AggregateSummary]:
        reads.append(len(names))
        return await named(log, names)

    monkeypatch.setattr(aggregates, "by_name", counted)
    await store(log, *(user(f"u{n}") for n in range(1000)))
    async with AsyncExitStack() as stack:
        all = [await stack.enter_async_context(watched(watching, f"u{n}")) for n in range(1000)]
        heads = await asyncio.gather(*(anext(one) for one in all))
        assert [head.id for head in heads] == [f"u{n}" for n in range(1000)]
        assert len(reads) <= 9
        assert max(reads) == 300
        await beat(log, client, settings.stream, 1000)
        await tell(log, client, settings.stream, await store(log, *(user(f"u{n}") for n in range(0, 1000, 100))))
        changed = await asyncio.gather(*(anext(one) for one in all[::100]))
        assert [head.version for head in changed] == [2] * 10
        assert watching.count == 1000
    assert watching.count == 0


async def test_if_the_log_cannot_be_read_the_subscription_ends_with_the_error(feed: Feed, client: Client) -> None:
    async with open_log(f"mongodb://127.0.0.1:{free()}", "test", question_seconds=0.2) as log:
        watching = AggregateUpdates(log, ChangeNotifier(log, feed))
        async with watched(watching, "ada") as heads:
            with pytest.raises(EventscopeError) as ended:
                await anext(heads)
    assert ended.value.code in ("UNAVAILABLE", "TIMEOUT")


async def test_when_the_last_subscriber_leaves_nothing_is_left_behind(log: Log, watching: AggregateUpdates) -> None:
    before = asyncio.all_tasks()
    for _ in range(20):
        async with watched(watching, "ada") as heads, watched(watching, "grace") as others:
            leaving = [asyncio.ensure_future(anext(one)) for one in (heads, others)]
            await until(lambda: watching.count == 2)
            await cancel(*leaving)
    await until(lambda: asyncio.all_tasks() <= before)
    assert watching.count == 0


async def test_a_subscriber_that_comes_after_all_have_left_is_served_like_the_first(
    log: Log, watching: AggregateUpdates, client: Client, settings: Settings
) -> None:
    for n in range(1, 4):
        await store(log, user("ada"))
        async with watched(watching, "ada") as heads:
            await version(heads, n)
