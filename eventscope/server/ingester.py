"""Running an ingester: its connections, its stream, and its loop until it is cancelled."""

from contextlib import AsyncExitStack

from eventscope.background import beside
from eventscope.connections import connect
from eventscope.errors import CannotStart
from eventscope.metrics.ingest import IngestMetrics
from eventscope.metrics.side_server import serve_beside
from eventscope.settings import Settings, variable
from eventscope.store.catalogue import counting
from eventscope.store.log import prepare
from eventscope.store.recount.sample import keep_watch
from eventscope.store.rejected import messages
from eventscope.store.write.retention import Retention
from eventscope.subscriptions.ingest.ingester import Ingester
from eventscope.subscriptions.ingest.kept_headers import KeptHeaders
from eventscope.subscriptions.ingest.lag import Lag, lag
from eventscope.subscriptions.ingest.limits import IngestLimits
from eventscope.subscriptions.messages.envelope import compile_envelopes
from eventscope.subscriptions.nats import capture, stream
from eventscope.subscriptions.observer import GuardedIngestObserver


async def ingest(settings: Settings, limits: IngestLimits | None = None) -> None:
    """Ingest until cancelled; CannotStart if a server cannot be reached or is not set up correctly."""
    for subject in capture.reserved(settings.subjects):
        raise CannotStart(f"{variable('subjects')} has {subject}, which would capture what Eventscope itself sends")
    async with connect(settings, "eventscope ingest") as connections:
        log, nats = connections.log, connections.nats
        await prepare(log)
        await messages.stamp(log, settings.rejected_days)
        js = nats.jetstream()
        info = await stream.ensure(js, settings.stream, settings.subjects, settings.stream_max_bytes)
        if (trouble := await capture.fault(js, settings.stream, info.config)) is not None:
            raise CannotStart(trouble)
        metrics = IngestMetrics()
        ingester = Ingester(
            log,
            nats,
            js,
            settings.stream,
            settings.subjects,
            Retention(settings.retention, settings.rejected_days),
            settings.batch,
            settings.lease_seconds,
            compile_envelopes(settings.envelopes),
            settings.message_version,
            KeptHeaders(settings.keep_headers),
            settings.stream_keep_hours,
            GuardedIngestObserver(metrics),
            rejected_bytes=settings.rejected_max_bytes,
            max_bytes=settings.stream_max_bytes,
            limits=limits or IngestLimits(),
        )

        async def current_lag() -> Lag | None:
            return await lag(log, nats, settings.stream) if nats.is_connected else None

        async with AsyncExitStack() as stack:
            if settings.ingest_port:
                routes = metrics.routes(log, current_lag)
                await stack.enter_async_context(serve_beside(settings.host, settings.ingest_port, routes))
            catalogue = counting.keep_up(log, ingester.holder, lambda: ingester.has_backlog)
            await stack.enter_async_context(beside(catalogue))
            await stack.enter_async_context(beside(keep_watch(log, ingester.holder, metrics.on_miscount)))
            await ingester.run()
