"""Readings of the log, like counts: at once, and again after events that matter, at most every so many seconds.

Who asks for the same at the same pace shares one reading.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from eventscope.store.filters.effort import TooMuch
from eventscope.store.filters.filter import Filter, matcher, matching
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.latest import Latest

T = TypeVar("T")

Sleep: TypeAlias = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SharedQuery(Generic[T]):
    """What is read: by `read`, anew after events that the filter means, and told apart by the `mark` of its value."""

    key: Hashable
    filter: Filter
    seconds: float
    read: Callable[[], Awaitable[T]]
    mark: Callable[[T], object]


class SharedQueries:
    """What is read repeatedly in this process. It does nothing while nobody asks."""

    def __init__(self, news: ChangeNotifier, sleep: Sleep = asyncio.sleep) -> None:
        self._news = news
        self._sleep = sleep
        self._open: dict[Hashable, _LiveResult[Any]] = {}

    @property
    def count(self) -> int:
        """How many are kept up to date just now, shared ones counted once."""
        return len(self._open)

    async def follow(self, asked: SharedQuery[T]) -> AsyncGenerator[T, None]:
        """What is asked for now, and again when it has changed; changes in between are merged.

        Raises what reading it raises.
        """
        place: Latest[T] = Latest()
        with self._joined(asked) as reading:
            await reading.join(place)
            try:
                while True:
                    yield await place.next()
            finally:
                reading.leave(place)

    @contextmanager
    def _joined(self, asked: SharedQuery[T]) -> "Iterator[_LiveResult[T]]":
        key = (asked.key, asked.seconds)
        reading = self._open.get(key)
        if reading is None:
            reading = self._open[key] = _LiveResult(asked, self._sleep)
            reading.start(self._news)
        reading.users += 1
        try:
            yield reading
        finally:
            reading.users -= 1
            if not reading.users:
                del self._open[key]
                reading.stop()


class _LiveResult(Generic[T]):
    """One that is kept up to date for its subscribers."""

    def __init__(self, asked: SharedQuery[T], sleep: Sleep) -> None:
        self.users = 0
        self._asked = asked
        self._sleep = sleep
        self._matches = matcher(asked.filter)
        self._places: set[Latest[T]] = set()
        self._value: T
        self._stale = True  # the log has moved on since it was read
        self._owed = asyncio.Event()  # and the subscribers have not heard of it
        self._reading = asyncio.Lock()
        self._working = ExitStack()

    def start(self, news: ChangeNotifier) -> None:
        """Keep it up to date from now on."""
        self._working.enter_context(news.heard_by(self))
        self._working.callback(asyncio.create_task(self._keep()).cancel)

    def stop(self) -> None:
        """Leave nothing behind."""
        self._working.close()

    async def join(self, place: Latest[T]) -> None:
        """Give it at once what is so now, and from then on with the others."""
        self._give(await self._now(), [place])
        self._places.add(place)

    def leave(self, place: Latest[T]) -> None:
        """Give it nothing any more."""
        self._places.discard(place)

    def came(self, events: Sequence[EventDocument]) -> None:
        """Read it anew if they matter."""
        if not (self._stale and self._owed.is_set()) and self._may_matter(events):
            self.missed()

    def missed(self) -> None:
        """Read it anew."""
        self._stale = True
        self._owed.set()

    def _may_matter(self, events: Sequence[EventDocument]) -> bool:
        try:
            return any(matching(self._matches, events))
        except TooMuch:
            return True

    async def _keep(self) -> None:
        while True:
            await self._owed.wait()
            self._owed.clear()
            try:
                self._give(await self._now(), self._places)
            except Exception as error:
                for place in self._places:
                    place.fail(error)
            await self._sleep(self._asked.seconds)

    async def _now(self) -> T:
        async with self._reading:
            if self._stale:
                self._stale = False
                try:
                    self._value = await self._asked.read()
                except BaseException:
                    self._stale = True
                    raise
            return self._value

    def _give(self, value: T, places: Sequence[Latest[T]] | set[Latest[T]]) -> None:
        mark = self._asked.mark(value)
        for place in places:
            place.put(value, mark)
