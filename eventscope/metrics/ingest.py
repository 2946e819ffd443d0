"""What an ingester reports: its metrics to Prometheus, and its health."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import nats.errors
from prometheus_client import Counter, Gauge, Histogram
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from eventscope.errors import Blocked, CannotStart, LeaseLost, QuestionTimedOut, Unavailable
from eventscope.http.refusals import AGAIN
from eventscope.metrics.log import DELAYS, LogMetrics, new_registry, route
from eventscope.store.log import Log
from eventscope.store.values import moment
from eventscope.store.values.message import Stored
from eventscope.subscriptions.ingest import self_report
from eventscope.subscriptions.ingest.lag import Lag

SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
KINDS: Final[Mapping[type[Exception], str]] = {
    Blocked: "blocked",
    CannotStart: "blocked",
    LeaseLost: "lease_lost",
    QuestionTimedOut: "timeout",
    Unavailable: "unavailable",
    nats.errors.Error: "nats",
    OSError: "nats",
}


class IngestMetrics:
    """Counts what its ingester does."""

    def __init__(self) -> None:
        self.registry = new_registry()
        self.log = LogMetrics(self.registry)
        self._state = "starting"
        self.reason: str | None = None
        self._term: int | None = None

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(f"eventscope_ingest_{name}", help, labels, registry=self.registry)

        def histogram(name: str, help: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"eventscope_ingest_{name}", help, buckets=buckets, registry=self.registry)

        self._events = counter("events", "Events stored.")
        self._rejections = counter("rejected", "Messages rejected, by `code`.", "code")
        self._duplicates = counter("duplicates", "Messages dropped because their event was stored before.")
        self._claims = counter(
            "claims_differing", "Events whose message claimed a version other than the one that the log assigned."
        )
        self._size = histogram("batch_messages", "Messages stored in one transaction.", SIZES)
        self._seconds = histogram("batch_seconds", "Time that a transaction takes, with the reads before it.", DELAYS)
        self._delay = histogram(
            "commit_delay_seconds", "Time from JetStream's timestamp of an event to its commit.", DELAYS
        )
        self._active = Gauge(
            "eventscope_ingest_active", "Whether this ingester reads and stores: 1 or 0.", registry=self.registry
        )
        self._held_messages = Gauge(
            "eventscope_ingest_held_messages",
            "Stored messages that the stream keeps for a durable consumer, by `consumer`.",
            ["consumer"],
            registry=self.registry,
        )
        self._starts = counter(
            "starts", "How often reading began at the checkpoint: once at the start, and after every error."
        )
        self._leases = counter("lease_changes", "How often this ingester took over the lease.")
        self._resets = counter(
            "source_resets", "How often the stream was found recreated or without its last messages."
        )
        self._miscounts = counter("miscounted", "Derived documents that a sample found to disagree with their events.")
        self._errors = counter("errors", "How often an error interrupted ingest, by `kind` of error.", "kind")

    def on_start(self, term: int) -> None:
        """Count a start, and a change of the lease if there was one."""
        self._state, self.reason = "ingesting", None
        self._active.set(1)
        self._starts.inc()
        if term != self._term:
            self._leases.inc()
            self._term = term

    def on_standby(self) -> None:
        """Record that another ingester holds the lease."""
        self._state, self.reason = "standing by", None
        self._active.set(0)

    def on_commit(self, outcome: Stored, messages: int, seconds: float) -> None:
        """Count a batch."""
        now = moment.now()
        self._size.observe(messages)
        self._seconds.observe(seconds)
        self._events.inc(len(outcome.events))
        self._duplicates.inc(outcome.duplicates)
        for code, times in outcome.codes.items():
            self._rejections.labels(code).inc(times)
        for event in outcome.events:
            # the clock of NATS may be ahead of ours
            self._delay.observe(max(0, now - event["recordedAt"]) / 1_000_000)
            if "claimedVersion" in event and "version" in event:
                self._claims.inc()

    def on_source_reset(self) -> None:
        """Count a reset."""
        self._resets.inc()

    def on_miscount(self, documents: int) -> None:
        """Count wrong documents in a sample."""
        self._miscounts.inc(documents)

    def on_stop(self, error: Exception) -> None:
        """Count an error, and report it as the reason for the stop until work resumes."""
        self._state = "stopped"
        self.reason = self_report.reason(error)
        self._active.set(0)
        kinds = (kind for type, kind in KINDS.items() if isinstance(error, type))
        self._errors.labels(next(kinds, "internal")).inc()

    def on_hold(self, messages: Mapping[str, int]) -> None:
        """Set the number of messages that each consumer holds, and drop consumers that no longer hold any."""
        self._held_messages.clear()
        for consumer, count in messages.items():
            self._held_messages.labels(consumer).set(count)

    def routes(self, log: Log, lag: Callable[[], Awaitable[Lag | None]]) -> list[Route]:
        """`/healthz`, `/readyz` and `/metrics` of an ingester, standing by or not."""

        async def healthz(request: Request) -> Response:
            return JSONResponse({"status": "ok"})

        async def readyz(request: Request) -> Response:
            if self._state in ("ingesting", "standing by"):
                return JSONResponse({"status": self._state})
            reasons = [self.reason or "the ingester is starting"]
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503, AGAIN)

        async def look() -> None:
            await self.log.look(log, lag)

        return [Route("/healthz", healthz), Route("/readyz", readyz), route(self.registry, look)]
