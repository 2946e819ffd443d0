"""Watching aggregates: the head of each at once, and again when it has changed, whatever was lost on the way.

The live feed only says which aggregates to look at. What is delivered is read from the log, for all who watch together.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, TypeAlias

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.latest import Latest

MOST_AT_ONCE: Final = 500  # aggregates that one read asks for

AggregateName: TypeAlias = tuple[str, str]
Watcher: TypeAlias = Latest[AggregateSummary]


class AggregateUpdates:
    """The aggregates that are watched in this process. It does nothing while there are none."""

    def __init__(self, log: Log, news: ChangeNotifier) -> None:
        self._log = log
        self._news = news
        self._watchers: dict[AggregateName, set[Watcher]] = {}
        self._stale: dict[AggregateName, None] = {}  # in the order in which they went stale
        self._something = asyncio.Event()
        self._working = ExitStack()

    @property
    def watchers(self) -> int:
        """How many watch just now."""
        return sum(map(len, self._watchers.values()))

    async def watch(self, type: str, id: str) -> AsyncGenerator[AggregateSummary, None]:
        """The head of that aggregate as soon as there is one, and whenever it changed; changes in between are merged.

        Raises Unavailable or QuestionTimedOut when it cannot be read.
        """
        watcher = Watcher()
        with self._joined((type, id), watcher):
            while True:
                yield await watcher.next()

    def came(self, events: Sequence[EventDocument]) -> None:
        """Look at the aggregates that these happened to."""
        for event in events:
            name = (event.get("aggregateType", ""), event.get("aggregateId", ""))
            if name in self._watchers:
                self._mark(name)

    def missed(self) -> None:
        """Look at all."""
        for name in self._watchers:
            self._mark(name)

    def _mark(self, name: AggregateName) -> None:
        self._stale[name] = None
        self._something.set()

    @contextmanager
    def _joined(self, name: AggregateName, watcher: Watcher) -> Iterator[None]:
        if not self._watchers:
            self._working.enter_context(self._news.heard_by(self))
            self._working.callback(asyncio.create_task(self._read_on()).cancel)
        self._watchers.setdefault(name, set()).add(watcher)
        self._mark(name)
        try:
            yield
        finally:
            self._watchers[name].discard(watcher)
            if not self._watchers[name]:
                del self._watchers[name]
            if not self._watchers:
                self._stale.clear()
                self._working.close()

    async def _read_on(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._stale:
                names = list(self._stale)[:MOST_AT_ONCE]
                for name in names:
                    del self._stale[name]
                await self._read(names)

    async def _read(self, names: list[AggregateName]) -> None:
        try:
            for head in await aggregates.by_name(self._log, names):
                for watcher in self._watchers.get((head.type, head.id), ()):
                    watcher.put(head, head)
        except Exception as error:
            for name in names:
                for watcher in self._watchers.get(name, ()):
                    watcher.fail(error)
