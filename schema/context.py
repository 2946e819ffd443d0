"""What resolvers work with: the services of the process, and how much this one operation may still read."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from strawberry.dataloader import DataLoader
from strawberry.types import Info as StrawberryInfo

from eventscope.errors import BadInput, TooComplex
from eventscope.resolvers import aggregates, catalogue, causes, cursor, events, rejected, trace
from eventscope.resolvers.aggregates import OwnEventsRequest
from eventscope.resolvers.causes import LinkRequest
from eventscope.resolvers.page import Page
from eventscope.resolvers.trace import CauseTree
from eventscope.schema.limits.limits import Limits, too_many_entries
from eventscope.schema.outlet import Outlet
from eventscope.store.aggregates import AggregateSummary
from eventscope.store.catalogue.fields import FieldCounts
from eventscope.store.catalogue.types import EventTypeSummary
from eventscope.store.events.links import Link
from eventscope.store.log import Log
from eventscope.store.mongo.budget import ReadBudget
from eventscope.store.mongo.permits import Permits
from eventscope.store.rejected.messages import StoredRejection
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.current.aggregates import AggregateUpdates
from eventscope.subscriptions.current.queries import SharedQueries
from eventscope.subscriptions.ingest.lag import Lag
from eventscope.subscriptions.live.feed import Feed
from eventscope.subscriptions.live.hub import Hub
from eventscope.subscriptions.publish.confirmed import ConfirmedPublisher

K = TypeVar("K")
V = TypeVar("V")
LOADERS: Final = (
    "aggregate_loader",
    "event_loader",
    "part_loader",
    "count_loader",
    "fields_loader",
    "own_loader",
    "type_loader",
    "rejected_loader",
)


class Loader(DataLoader[K, V]):
    """A loader whose values outlive their callers: when one caller is cancelled, others still wait for it."""

    def load(self, key: K) -> Awaitable[V]:
        """The value for the key."""
        loading = asyncio.ensure_future(super().load(key))
        loading.add_done_callback(_observe_error)
        return asyncio.shield(loading)


@dataclass(frozen=True, slots=True)
class Services:
    """What lives as long as the process."""

    log: Log
    feed: Feed
    hub: Hub
    aggregate_updates: AggregateUpdates
    shared_queries: SharedQueries
    publisher: ConfirmedPublisher
    lag: Callable[[], Awaitable[Lag | None]]
    retention: Mapping[str, float]
    nats_version: Callable[[], str]
    nats_connected: Callable[[], bool]
    nats_refusal: Callable[[], str | None]
    """Returns what NATS does not permit; None if it refused nothing."""
    limits: Limits = field(default_factory=Limits)
    permits: Permits = field(default_factory=Permits)
    """The permits for operations that read much."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is about to end: subscriptions should end, too."""


@dataclass
class Context:
    """What lives as long as one operation. Loaders are made on first use: most operations need none."""

    services: Services
    outlet: Outlet | None = None
    """Where a subscription sends its results itself; None if they are pulled one by one."""
    resume: str | None = None
    """The cursor from which a reconnecting client continues, whatever its request says."""
    last_cursor: str | None = field(default=None, init=False)
    """The cursor up to which a subscription whose results are pulled one by one was delivered, if it has cursors."""
    nodes_left: int = field(init=False)
    traced_left: int = field(init=False)
    log: Log = field(init=False)
    """The log, limited to what this operation may read."""

    def __post_init__(self) -> None:
        self._begin()

    def renew(self) -> None:
        """Start with a new budget: what is read for one live event is not charged to the next."""
        self.leave()
        self._begin()
        for name in LOADERS:
            self.__dict__.pop(name, None)

    def leave(self) -> None:
        """Release the operation's share of memory: the answer was sent, or nobody waits for it any more."""
        self.log.budget.leave()

    def _begin(self) -> None:
        limits = self.services.limits
        self.nodes_left = self.traced_left = limits.entries
        self.log = self.services.log.within(ReadBudget(limits.bytes, permits=self.services.permits))

    @cached_property
    def aggregate_loader(self) -> DataLoader[tuple[str, str], AggregateSummary | None]:
        """Aggregates by type and id."""

        async def load(names: list[tuple[str, str]]) -> list[AggregateSummary | None]:
            return await aggregates.by_name(self.log, names)

        return Loader(load)

    @cached_property
    def own_loader(self) -> DataLoader[OwnEventsRequest, Page[EventDocument]]:
        """Pages of aggregates' own events."""

        async def load(requests: list[OwnEventsRequest]) -> list[Page[EventDocument] | BadInput | TooComplex]:
            return await aggregates.own_events(self.log, requests)

        return Loader(load)

    @cached_property
    def event_loader(self) -> DataLoader[str, EventDocument | None]:
        """Events by id."""

        async def load(ids: list[str]) -> list[EventDocument | None]:
            return await events.by_id(self.log, ids)

        return Loader(load)

    @cached_property
    def part_loader(self) -> DataLoader[LinkRequest, list[EventDocument]]:
        """Parts of conversations."""

        async def load(requests: list[LinkRequest]) -> list[list[EventDocument] | TooComplex]:
            return await causes.linked_events(self.log, requests)

        return Loader(load)

    @cached_property
    def count_loader(self) -> DataLoader[tuple[Link, str], int]:
        """How many events a link leads to."""

        async def load(links: list[tuple[Link, str]]) -> list[int]:
            return await causes.counts(self.log, links)

        return Loader(load)

    @cached_property
    def fields_loader(self) -> DataLoader[str, FieldCounts]:
        """The fields of event types."""

        async def load(types: list[str]) -> list[FieldCounts]:
            return await catalogue.fields(self.log, types)

        return Loader(load)

    @cached_property
    def type_loader(self) -> DataLoader[str, EventTypeSummary | None]:
        """Event types by name."""

        async def load(names: list[str]) -> list[EventTypeSummary | None]:
            return await catalogue.by_name(self.log, names)

        return Loader(load)

    @cached_property
    def rejected_loader(self) -> DataLoader[int, StoredRejection | None]:
        """Rejected messages by number."""

        async def load(numbers: list[int]) -> list[StoredRejection | None]:
            return await rejected.by_number(self.log, numbers)

        return Loader(load)

    @cached_property
    def tracing(self) -> asyncio.Lock:
        """Held while a trace is read."""
        return asyncio.Lock()

    @property
    def suffix(self) -> str:
        """The text that the cursors of the log end in."""
        return cursor.suffix(self.log.identity.tag)

    def charge(self, nodes: int) -> None:
        """Charge this many entries to the operation; TooComplex if they exceed what it may read."""
        self.nodes_left -= nodes
        if self.nodes_left < 0:
            raise TooComplex(too_many_entries(self.services.limits.entries))

    async def trace(self, correlation_id: str, first: int | None, after: str | None) -> CauseTree | None:
        """The trace; TooComplex if the operation's traces have more events than one operation may read.

        Traces are read one after another, since the size of each is known only once it has been read.
        """
        size = trace.size(first)
        async with self.tracing:
            tree = await trace.trace(self.log, correlation_id, min(size, self.traced_left + 1), after)
            self.traced_left -= 0 if tree is None else tree.event_count
            if self.traced_left < 0:
                most = self.services.limits.entries
                raise TooComplex(f"the traces have over {most} events together; request them one by one")
            return tree


def _observe_error(loading: asyncio.Future[Any]) -> None:
    # callers handle the error; if all of them are gone, asyncio would log it as never retrieved
    if not loading.cancelled():
        loading.exception()


class Info(StrawberryInfo[Context, Any]):
    """What a resolver gets to know about the field that it resolves."""

    def document_fields(self) -> tuple[str, ...] | None:
        """The fields of stored documents that the selection needs; None when it may need all."""
        raise NotImplementedError  # reading a selection takes internals of Strawberry: see compiled/selection.py
