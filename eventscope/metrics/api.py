"""What an API process reports to Prometheus: the requests it answered, and what it delivered."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventscope.errors import log_unexpected
from eventscope.http import event_stream
from eventscope.metrics.log import DELAYS, LogMetrics, new_registry, route
from eventscope.metrics.workers import SiblingMetrics
from eventscope.schema.context import Services
from eventscope.store.values import moment
from eventscope.store.values.documents import EventDocument
from eventscope.subscriptions.ingest.lag import Lag

STREAM: Final = event_stream.MEDIA_TYPE.encode()
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
        self._fallbacks = counter(
            "compiled_fallbacks",
            "Executions of an operation in which graphql-core took over from compiled code, by `reason`.",
            "reason",
        )
        self._requests = counter("http_requests", "HTTP requests answered, by `path` and `status`.", "path", "status")
        self._request_seconds = histogram("http_request_seconds", "Time until an answer is sent, by `path`.", "path")
        # looking up the child for some labels takes longer than counting
        self._operation = lru_cache(512)(self._operations.labels)
        self._operation_time = lru_cache(512)(self._operation_seconds.labels)
        self._request = lru_cache(512)(self._requests.labels)
        self._request_time = lru_cache(512)(self._request_seconds.labels)
        self._sockets = gauge("websockets", "WebSockets that are open.")
        self._streams = gauge("event_streams", "Event streams that are open.")
        self._followers = gauge("followers", "Subscriptions that follow the log at the moment.")
        self._deliveries = counter("delivered_events", "Events delivered to subscriptions.")
        self._dropped_connections = counter(
            "dropped_connections", "Connections of subscribers that the server closed, by `reason`.", "reason"
        )
        self._refused_connections = counter(
            "given_up_connections", "HTTP connections that the server refused or closed early, by `reason`.", "reason"
        )
        self._fan_out = histogram("fan_out_seconds", "Time to send one result to all equal subscriptions.")
        self._cohorts = gauge("cohorts", "Subscriptions that differ from each other; equal ones share the work.")
        self._lag = gauge("slowest_lag_events", "How many positions the slowest subscription lags behind the log.")
        self._waiting_bytes = gauge("waiting_bytes", "Bytes of live events that wait for slow subscribers.")
        self._arrivals = counter("live_events", "Events that arrived live from the ingester.")
        self._distrusted_messages = counter(
            "distrusted_live_messages",
            "Messages on the live subject that no ingester of this log signed, by `reason`.",
            "reason",
        )
        self._distrusted_answers = counter(
            "distrusted_answers",
            "Replies to this API's publications that no ingester of this log sent, by `reason`.",
            "reason",
        )
        self._delay = histogram(
            "live_delay_seconds", "Time from JetStream's timestamp of an event to its live arrival."
        )

    def on_operation(self, kind: str, code: str, seconds: float) -> None:
        """Count an operation, and its time unless it is a subscription, which lasts as long as its client."""
        self._operation(kind, code).inc()
        if kind in ("query", "mutation"):
            self._operation_time(kind).observe(seconds)

    def on_fallback(self, reason: str) -> None:
        """Count a fallback from compiled code to graphql-core."""
        self._fallbacks.labels(reason).inc()

    def on_arrival(self, events: Sequence[EventDocument]) -> None:
        """Count events that arrived live."""
        now = moment.now()
        self._arrivals.inc(len(events))
        for event in events:
            self._delay.observe(max(0, now - event["recordedAt"]) / 1_000_000)

    def on_distrust(self, reason: str) -> None:
        """Count a live message that was ignored."""
        self._distrusted_messages.labels(reason).inc()

    def distrusted_answer(self, reason: str) -> None:
        """Count a reply that was ignored because no ingester signed it."""
        self._distrusted_answers.labels(reason).inc()

    def on_delivery(self, events: int = 1) -> None:
        """Count events that were delivered to subscriptions."""
        self._deliveries.inc(events)

    def on_fan_out(self, seconds: float) -> None:
        """Count a result that went out to all equal subscriptions."""
        self._fan_out.observe(seconds)

    def on_drop(self, reason: str) -> None:
        """Count a subscriber's connection that the server closed."""
        self._dropped_connections.labels(reason).inc()

    def on_http_drop(self, reason: str) -> None:
        """Count a connection that was refused or closed early."""
        self._refused_connections.labels(reason).inc()

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Count a WebSocket for as long as it is open."""
        with self._sockets.track_inprogress():
            yield

    def stream(self, more: int) -> None:
        """Count an event stream that was opened, or (-1) closed."""
        self._streams.inc(more)

    def on_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request; all unknown paths count as one, because clients may invent any number of them."""
        label = path if path in PATHS else "other"
        self._request(label, str(status)).inc()
        self._request_time(label).observe(seconds)

    def route(self, services: Services, siblings: SiblingMetrics | None = None) -> Route:
        """`/metrics` of an API process, or of it and its siblings."""

        async def lag() -> Lag | None:
            return await services.lag() if services.nats_connected() else None  # lag() would wait for NATS

        async def look() -> None:
            state = services.hub.state()
            self._followers.set(state.count)
            self._cohorts.set(state.cohorts)
            self._lag.set(state.slowest_lag_events)
            self._waiting_bytes.set(state.waiting_bytes)
            await self.log.look(services.log, lag)

        return route(self.registry, look, siblings)


class RequestCounter:
    """Middleware that counts the application's requests, event streams and WebSockets."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "websocket":
            with self._metrics.socket():
                await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, stream_start = perf_counter(), 500, 0.0

        async def watch_and_send(message: Message) -> None:
            nonlocal status, stream_start
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == b"content-type" and STREAM in value:
                        stream_start = perf_counter()
                        self._metrics.stream(1)
            await send(message)

        try:
            await self._app(scope, receive, watch_and_send)
        finally:
            if stream_start:
                self._metrics.stream(-1)
            # an event stream lasts as long as its client: only the time until its start is counted
            self._count(scope["path"], status, (stream_start or perf_counter()) - start)

    def _count(self, path: str, status: int, seconds: float) -> None:
        try:
            self._metrics.on_request(path, status, seconds)
        except Exception as error:  # the client has its answer already
            log_unexpected(error, "a request is not counted")
