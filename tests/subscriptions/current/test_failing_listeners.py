"""Whatever a listener or a comparison fails on, everybody has the current state afterwards."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from eventscope.store.filters.filter import TypePatterns
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.aggregates import AggregateUpdates
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.queries import SharedQueries, SharedQuery
from eventscope.subscriptions.live.feed import Feed
from tests.subscriptions.support.filling import user
from tests.subscriptions.support.receivers import Announcer
from tests.support.until import until


class Broken(Exception):
    """An unforeseen error."""


class Listening:
    """Receives events; its first calls, `failures` of them, fail."""

    def __init__(self, failures: int) -> None:
        self.heard = 0
        self.missed_at = 0
        self._failures = failures

    def on_events(self, events: Sequence[EventDocument]) -> None:
        self._fail()
        self.heard = events[-1]["_id"]

    def on_any_change(self) -> None:
        self._fail()
        self.missed_at += 1

    def _fail(self) -> None:
        self._failures -= 1
        if self._failures >= 0:
            raise Broken


async def test_a_listener_that_fails_is_notified_again_and_freezes_nobody(
    log: Log, feed: Feed, teller: Announcer
) -> None:
    notifier = ChangeNotifier(log, feed, look_seconds=0.05)
    good, bad = Listening(0), Listening(1)
    with notifier.notify(bad), notifier.notify(good):
        await until(lambda: good.missed_at and bad.missed_at)  # of which the first failed for one
        await teller.beat(0)
        bad._failures = 2
        await teller.happen(1)
        await until(lambda: good.heard == 1)
        before = bad.missed_at
        await until(lambda: bad.missed_at > before)  # `came` and `missed` have failed, and it was notified once more
        await teller.happen(1)
        await until(lambda: good.heard == bad.heard == 2)


async def test_notifying_listeners_continues_after_a_failure_of_its_own(
    log: Log, feed: Feed, teller: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier, good = ChangeNotifier(log, feed, retry_seconds=0.0), Listening(0)
    take = notifier._accept
    failures = 1

    async def fail(*batch: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise Broken
        await take(*batch)

    monkeypatch.setattr(notifier, "_accept", fail)
    with notifier.notify(good):
        await until(lambda: good.missed_at == 1)
        await teller.happen(1)
        await until(lambda: good.missed_at == 2)
        await teller.happen(1)  # which shows the hole
        await until(lambda: good.missed_at == 3)
        await teller.happen(1)
        await until(lambda: good.heard == 3)


async def test_aggregates_are_still_watched_when_another_listener_fails(
    log: Log, feed: Feed, teller: Announcer
) -> None:
    notifier = ChangeNotifier(log, feed)
    watching = AggregateUpdates(log, notifier)
    await teller.store(user("ada"))
    with notifier.notify(Listening(1000)):
        async with aclosing(watching.follow("user", "ada")) as heads, asyncio.timeout(60):
            assert (await anext(heads)).version == 1
            await teller.happen(1, **user("ada"))
            assert (await anext(heads)).version == 2


async def test_a_value_that_cannot_be_compared_is_an_error_for_its_subscribers_and_is_read_again(
    log: Log, feed: Feed, teller: Announcer
) -> None:
    marks = 0

    async def read() -> int:
        return 1

    def mark(_: int) -> object:
        nonlocal marks
        marks += 1
        if marks == 2:
            raise Broken
        return marks

    readings = SharedQueries(ChangeNotifier(log, feed), sleep=lambda _: asyncio.sleep(0))
    asked = SharedQuery("k", TypePatterns(("a.b",)), 0.0, read, mark)
    async with aclosing(readings.follow(asked)) as first, asyncio.timeout(60):
        assert await anext(first) == 1
        with pytest.raises(Broken):  # when the first message of the feed makes it read again
            await anext(first)
        async with aclosing(readings.follow(asked)) as second:
            assert await anext(second) == 1
