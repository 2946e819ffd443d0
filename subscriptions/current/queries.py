"""Queries that are kept up to date, such as counts: run at once, and again after events that affect them, with pauses.

Equal queries with equal pauses share one result.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from eventscope.store.filters.filter import Filter, matcher, matching
from eventscope.store.filters.step_limit import TooManySteps
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.latest import Latest

T = TypeVar("T")

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SharedQuery(Generic[T]):
    """A query: `read` runs it, again after events that match the filter; values with equal marks are the same."""

    key: Hashable
    filter: Filter
    seconds: float
    read: Callable[[], Awaitable[T]]
    mark: Callable[[T], object]


class SharedQueries:
    """The queries that this process keeps up to date. It does nothing while there are none."""

    def __init__(self, notifier: ChangeNotifier, sleep: Sleep = asyncio.sleep) -> None:
        self._notifier = notifier
        self._sleep = sleep
        self._results: dict[Hashable, _LiveResult[Any]] = {}

    @property
    def count(self) -> int:
        """How many results are kept up to date; a shared one counts once."""
        return len(self._results)

    async def follow(self, query: SharedQuery[T]) -> AsyncGenerator[T, None]:
        """The value now, and each new one; a slow subscriber skips some. Raises what the query's `read` raises."""
        latest: Latest[T] = Latest()
        with self._join(query) as result:
            await result.join(latest)
            try:
                while True:
                    yield await latest.next()
            finally:
                result.leave(latest)

    @contextmanager
    def _join(self, query: SharedQuery[T]) -> "Iterator[_LiveResult[T]]":
        key = (query.key, query.seconds)
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = _LiveResult(query, self._sleep)
            result.start(self._notifier)
        result.users += 1
        try:
            yield result
        finally:
            result.users -= 1
            if not result.users:
                del self._results[key]
                result.stop()


class _LiveResult(Generic[T]):
    """One query's value, kept up to date for its subscribers."""

    def __init__(self, query: SharedQuery[T], sleep: Sleep) -> None:
        self.users = 0
        self._query = query
        self._sleep = sleep
        self._matches = matcher(query.filter)
        self._subscribers: set[Latest[T]] = set()
        self._value: T
        self._is_stale = True  # the log has changed since the value was read
        self._is_due = asyncio.Event()  # and the subscribers do not have the new value
        self._lock = asyncio.Lock()
        self._working = ExitStack()

    def start(self, notifier: ChangeNotifier) -> None:
        """Keep it up to date from now on."""
        self._working.enter_context(notifier.notify(self))
        self._working.callback(asyncio.create_task(self._keep()).cancel)

    def stop(self) -> None:
        """Stop keeping it up to date."""
        self._working.close()

    async def join(self, subscriber: Latest[T]) -> None:
        """Give the subscriber the present value now, and each new one as the others get it."""
        self._give(await self._now(), [subscriber])
        self._subscribers.add(subscriber)

    def leave(self, subscriber: Latest[T]) -> None:
        """Give the subscriber no more values."""
        self._subscribers.discard(subscriber)

    def on_events(self, events: Sequence[EventDocument]) -> None:
        """Read the value again if the events may affect it."""
        if not (self._is_stale and self._is_due.is_set()) and self._may_matter(events):
            self.on_any_change()

    def on_any_change(self) -> None:
        """Read the value again."""
        self._is_stale = True
        self._is_due.set()

    def _may_matter(self, events: Sequence[EventDocument]) -> bool:
        try:
            return any(matching(self._matches, events))
        except TooManySteps:
            return True

    async def _keep(self) -> None:
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            try:
                self._give(await self._now(), self._subscribers)
            except Exception as error:
                for subscriber in self._subscribers:
                    subscriber.fail(error)
            await self._sleep(self._query.seconds)

    async def _now(self) -> T:
        async with self._lock:
            if self._is_stale:
                self._is_stale = False
                try:
                    self._value = await self._query.read()
                except BaseException:
                    self._is_stale = True
                    raise
            return self._value

    def _give(self, value: T, subscribers: Sequence[Latest[T]] | set[Latest[T]]) -> None:
        mark = self._query.mark(value)
        for subscriber in subscribers:
            subscriber.put(value, mark)
