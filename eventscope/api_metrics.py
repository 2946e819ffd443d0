"""What an API process reports to Prometheus: what was asked of it, and what it delivered."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventscope.metrics import DELAYS, LogMetrics, new_registry, route
from eventscope.schema.context import Services
from eventscope.store import moment
from eventscope.store.documents import Event
from eventscope.subscriptions.lag import Lag

PATHS: Final = frozenset({"/graphql", "/events/history", "/events/replay", "/events/aggregate", "/events/stats"})


class ApiMetrics:
    """Counts what its process does."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.log = LogMetrics(self.registry)

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"eventscope_{name}", help, labels, registry=self.registry)

        def gauge(name: str, help: str) -> Gauge:
            return Gauge(f"eventscope_{name}", help, registry=self.registry)

        def histogram(name: str, help: str, *labels: str) -> Histogram:
            return Histogram(f"eventscope_{name}", help, labels, buckets=DELAYS, registry=self.registry)

        self._operations = counter("operations", "GraphQL operations that ended, by `kind` and `code`.", "kind", "code")
        self._operation_seconds = histogram(
            "operation_seconds", "Time that queries and mutations take, by `kind`.", "kind"
        )
        self._requests = counter("http_requests", "HTTP requests answered, by `path` and `status`.", "path", "status")
        self._request_seconds = histogram("http_request_seconds", "Time until an answer is sent, by `path`.", "path")
        self._sockets = gauge("websockets", "WebSockets that are open.")
        self._followers = gauge("followers", "Subscriptions that follow the log just now.")
        self._delivered = counter("delivered_events", "Events given to subscriptions.")
        self._arrived = counter("live_events", "Events that arrived live from the ingester.")
        self._delay = histogram(
            "live_delay_seconds", "Time from JetStream's timestamp of an event to its live arrival."
        )

    def answered(self, kind: str, code: str, seconds: float) -> None:
        """Count an operation; how long a subscription lasts says nothing."""
        self._operations.labels(kind, code).inc()
        if kind in ("query", "mutation"):
            self._operation_seconds.labels(kind).observe(seconds)

    def arrived(self, events: Sequence[Event]) -> None:
        """Count what came live."""
        now = moment.now()
        self._arrived.inc(len(events))
        for event in events:
            self._delay.observe(max(0, now - event["recordedAt"]) / 1_000_000)

    def delivered(self) -> None:
        """Count an event that a subscription was given."""
        self._delivered.inc()

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Count a WebSocket for as long as it is open."""
        with self._sockets.track_inprogress():
            yield

    def requested(self, path: str, status: int, seconds: float) -> None:
        """Count a request; paths that anybody may make up are one."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._request_seconds.labels(known).observe(seconds)

    def route(self, services: Services) -> Route:
        """`/metrics` of an API process."""

        async def lag() -> Lag | None:
            return await services.lag() if services.nats_connected() else None  # which else would wait for NATS

        async def look() -> None:
            self._followers.set(services.feed.followers)
            await self.log.look(services.log, lag)

        return route(self.registry, look)


class Counted:
    """An application whose requests and sockets are counted."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            with self._metrics.socket():
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        status = 500

        async def seen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            self._metrics.requested(scope["path"], status, perf_counter() - began)
