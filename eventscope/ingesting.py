"""Running an ingester: connections, the stream, and the loop until a signal ends it."""

from eventscope.connections import connected
from eventscope.errors import CannotStart
from eventscope.settings import Settings, variable
from eventscope.store.log import prepare
from eventscope.store.retention import Retention
from eventscope.subscriptions import live, stream
from eventscope.subscriptions.ingest import Ingester
from eventscope.subscriptions.subjects import covers


async def ingest(settings: Settings) -> None:
    """Ingest until cancelled; CannotStart when a server is not there or not as it must be."""
    for subject in settings.subjects:
        if covers(subject, live.subject(settings.stream)):
            raise CannotStart(f"{variable('subjects')} has {subject}, which would take in what Eventscope sends out")
    async with connected(settings, "eventscope ingest") as at:
        await prepare(at.log)
        js = at.nats.jetstream()
        await stream.ensure(js, settings.stream, settings.subjects, settings.stream_max_bytes)
        await Ingester(
            at.log,
            at.nats,
            js,
            settings.stream,
            settings.subjects,
            Retention(settings.retention),
            settings.batch,
            settings.lease_seconds,
            settings.envelopes,
            settings.stream_keep_hours,
        ).run()
