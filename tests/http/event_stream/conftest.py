"""What the tests of event streams share: an API whose log is empty."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over a log of its own."""
    async with running_api(settings) as api:
        yield api
