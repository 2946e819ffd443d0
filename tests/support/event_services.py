"""Services for tests, on the stream and the subjects of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventscope import EventsService
from eventscope.settings import Settings


@asynccontextmanager
async def connected_service(settings: Settings, api: str | None = None) -> AsyncIterator[EventsService]:
    """A service that publishes, and can read if there is an API."""
    async with EventsService.connect(
        settings.nats_url, api, stream=settings.stream, subjects=settings.subjects
    ) as service:
        yield service
