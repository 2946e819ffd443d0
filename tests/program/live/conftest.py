"""What the tests of live delivery by the whole program share.

A test replaces `http_limits` with `parametrize`.
"""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api


@pytest.fixture
def http_limits() -> HttpLimits:
    """The limits of that API."""
    return HttpLimits()


@pytest.fixture
async def api(
    settings: Settings, log: Log, client: Client, ingesting: None, http_limits: HttpLimits
) -> AsyncIterator[RunningApi]:
    """An API over a log of its own, with an ingester at work."""
    async with running_api(settings, http_limits=http_limits) as api:
        yield api
