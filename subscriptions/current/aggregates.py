"""Aggregates for their subscribers: the present head of each, and each new one, whatever the live feed loses.

The live feed only says which aggregates to read. What is delivered is read from the log, once for all subscribers.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, TypeAlias

from eventscope.store import aggregates
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.heads import AggregateName
from eventscope.store.log import Log
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.changes import ChangeNotifier
from eventscope.subscriptions.current.latest import Latest

MOST_AT_ONCE: Final = 500

Recipient: TypeAlias = Latest[AggregateSummary]


class AggregateUpdates:
    """The aggregates that this process has subscribers to, of which one read returns at most `most_at_once`.

    It does nothing while there are none.
    """

    def __init__(self, log: Log, notifier: ChangeNotifier, most_at_once: int = MOST_AT_ONCE) -> None:
        self._log = log
        self._notifier = notifier
        self._most_at_once = most_at_once
        self._recipients: dict[AggregateName, set[Recipient]] = {}
        self._stale: dict[AggregateName, None] = {}  # in the order in which they went stale
        self._wake_up = asyncio.Event()
        self._working = ExitStack()

    @property
    def count(self) -> int:
        """How many subscriptions there are."""
        return sum(map(len, self._recipients.values()))

    async def follow(self, type: str, id: str) -> AsyncGenerator[AggregateSummary, None]:
        """The head of that aggregate as soon as there is one, and each new one; a slow subscriber skips some.

        Raises Unavailable or QuestionTimedOut when it cannot be read.
        """
        recipient = Recipient()
        with self._join((type, id), recipient):
            while True:
                yield await recipient.next()

    def on_events(self, events: Sequence[EventDocument]) -> None:
        """Read the aggregates of these events again."""
        for event in events:
            name = (event.get("aggregateType", ""), event.get("aggregateId", ""))
            if name in self._recipients:
                self._mark(name)

    def on_any_change(self) -> None:
        """Read all again."""
        for name in self._recipients:
            self._mark(name)

    def _mark(self, name: AggregateName) -> None:
        self._stale[name] = None
        self._wake_up.set()

    @contextmanager
    def _join(self, name: AggregateName, recipient: Recipient) -> Iterator[None]:
        if not self._recipients:
            self._working.enter_context(self._notifier.notify(self))
            self._working.callback(asyncio.create_task(self._read_stale()).cancel)
        self._recipients.setdefault(name, set()).add(recipient)
        self._mark(name)
        try:
            yield
        finally:
            self._recipients[name].discard(recipient)
            if not self._recipients[name]:
                del self._recipients[name]
            if not self._recipients:
                self._stale.clear()
                self._working.close()

    async def _read_stale(self) -> None:
        while True:
            await self._wake_up.wait()
            self._wake_up.clear()
            while self._stale:
                names = list(self._stale)[: self._most_at_once]
                for name in names:
                    del self._stale[name]
                await self._read(names)

    async def _read(self, names: list[AggregateName]) -> None:
        try:
            for head in await aggregates.by_name(self._log, names):
                for recipient in self._recipients.get((head.type, head.id), ()):
                    recipient.put(head, head)
        except Exception as error:
            for name in names:
                for recipient in self._recipients.get(name, ()):
                    recipient.fail(error)
