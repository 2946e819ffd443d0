"""What every question is answered with: the log, the live feed, and how much this one operation may still read."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from strawberry.dataloader import DataLoader
from strawberry.types import Info as StrawberryInfo

from eventscope.errors import TooComplex
from eventscope.resolvers import aggregates, events
from eventscope.store.aggregates import Aggregate
from eventscope.store.documents import Event
from eventscope.store.log import Log
from eventscope.subscriptions.asking import Asker
from eventscope.subscriptions.feed import Feed
from eventscope.subscriptions.lag import Lag

MOST_NODES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Services:
    """What lives as long as the process."""

    log: Log
    feed: Feed
    asker: Asker
    lag: Callable[[], Awaitable[Lag | None]]
    retention: Mapping[str, float]
    nats_version: Callable[[], str]
    nats_connected: Callable[[], bool]


@dataclass(slots=True)
class Context:
    """What lives as long as one operation."""

    services: Services
    nodes_left: int = MOST_NODES
    aggregate_loader: DataLoader[tuple[str, str], Aggregate | None] = field(init=False)
    event_loader: DataLoader[str, Event | None] = field(init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Start as if nothing had been read: what one live event asks for is not counted against the next."""
        self.nodes_left = MOST_NODES

        async def load_aggregates(names: list[tuple[str, str]]) -> list[Aggregate | None]:
            return await aggregates.named(self.log, names)

        async def load_events(ids: list[str]) -> list[Event | None]:
            return await events.named(self.log, ids)

        self.aggregate_loader = DataLoader(load_aggregates)
        self.event_loader = DataLoader(load_events)

    @property
    def log(self) -> Log:
        """The log that is asked."""
        return self.services.log

    def spend(self, nodes: int) -> None:
        """Count so many entries as read; TooComplex when the operation asks for more than one may."""
        self.nodes_left -= nodes
        if self.nodes_left < 0:
            raise TooComplex(f"the operation asks for over {MOST_NODES} entries; ask for smaller pages or fewer lists")


Info: TypeAlias = StrawberryInfo[Context, Any]
