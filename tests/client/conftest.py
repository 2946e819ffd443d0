"""What the tests of the client share: a service over an empty log."""

from collections.abc import AsyncIterator

import pytest

from eventscope import EventsService
from eventscope.settings import Settings
from tests.support.event_services import connected_service


@pytest.fixture
async def service(settings: Settings, api: str, ingesting: None) -> AsyncIterator[EventsService]:
    """A service over an empty log, with an ingester at work."""
    async with connected_service(settings, api) as service:
        yield service
