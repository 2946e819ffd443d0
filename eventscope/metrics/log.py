"""The metrics that all processes have: those of the process itself, and the state of the log.

docs/operating.md lists all metrics, and a test compares it with the code. docs/decisions/0006 says why there are two
addresses.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from eventscope.errors import EventscopeError
from eventscope.metrics.workers import SiblingMetrics
from eventscope.store.log import Log
from eventscope.store.rejected import messages, quota
from eventscope.store.state import checkpoint
from eventscope.subscriptions.ingest.lag import Lag

LOOK_SECONDS: Final = 2.0
UNKNOWN: Final = math.nan
DELAYS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def new_registry() -> CollectorRegistry:
    """A registry with the version of Eventscope and what this process uses of the machine."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("eventscope", "Which version of Eventscope runs here.", registry=registry).info(
        {"version": version("eventscope")}
    )
    return registry


class LogMetrics:
    """The state of the log at the moment of the request; the same in every process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, help: str) -> Gauge:
            return Gauge(f"eventscope_log_{name}", help, registry=registry)

        self._up = gauge("up", "Whether the log can be read: 1 or 0; when it cannot, the metrics of its state are NaN.")
        self._head = gauge("head", "The last position of the log.")
        self._rejections = gauge("rejected", "Rejected messages that wait for somebody to examine them.")
        self._dropped_rejections = gauge(
            "rejected_dropped", "Rejected messages that were dropped so far to stay within the limit."
        )
        self._ingesting = gauge("ingesting", "Whether an ingester is at work: 1 or 0.")
        self._term = gauge("lease_term", "How often the lease has passed from one holder to another.")
        self._lost_messages = gauge("lost_messages", "Messages that JetStream removed before they were read.")
        self._resets = gauge("source_resets", "How often the stream was recreated or had lost its last messages.")
        self._ahead = gauge(
            "clock_ahead_seconds",
            "How far MongoDB's clock, which decides when events expire, is ahead of this machine's; NaN until known.",
        )
        self._lag_events = gauge(
            "lag_events", "Messages that are in the stream but not yet in the log; NaN without NATS."
        )
        self._lag_seconds = gauge("lag_seconds", "How long the oldest of these has been waiting.")

    async def look(self, log: Log, lag: Callable[[], Awaitable[Lag | None]]) -> None:
        """Read the state again, within a few seconds even if a server is down."""
        self._ahead.set(log.clock_ahead if log.clock_is_set else UNKNOWN)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                state, waiting = await checkpoint.read(log), await messages.count(log)
                dropped = await quota.dropped(log)
        except (EventscopeError, TimeoutError):
            self._up.set(0)
            for gauge in (
                self._head,
                self._rejections,
                self._dropped_rejections,
                self._ingesting,
                self._term,
                self._resets,
                self._lost_messages,
            ):
                gauge.set(UNKNOWN)
            self._set_lag(None)
            return
        self._up.set(1)
        self._head.set(state.head)
        self._rejections.set(waiting)
        self._dropped_rejections.set(0 if dropped is None else dropped.count)
        self._ingesting.set(state.lease_held)
        self._term.set(state.term)
        self._resets.set(state.source_resets)
        self._lost_messages.set(state.lost_count)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                self._set_lag(await lag())
        except (EventscopeError, TimeoutError):
            self._set_lag(None)

    def _set_lag(self, lag: Lag | None) -> None:
        self._lag_events.set(UNKNOWN if lag is None else lag.events)
        self._lag_seconds.set(UNKNOWN if lag is None else lag.seconds)


def route(
    registry: CollectorRegistry, look: Callable[[], Awaitable[None]], siblings: SiblingMetrics | None = None
) -> Route:
    """`/metrics`: the registry, merged with those of sibling processes; `look` first updates what is not counted."""

    async def metrics(request: Request) -> Response:
        await look()
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        all_metrics = registry if siblings is None else await siblings.merge(registry)
        return Response(encode(all_metrics), headers={"content-type": media_type, "cache-control": "no-store"})

    return Route("/metrics", metrics)
