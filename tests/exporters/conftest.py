"""What the tests of exports share: served logs with and without an ingester, and a screen."""

import io
from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client
from rich.console import Console

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client, ingesting: None) -> AsyncIterator[RunningApi]:
    """An API over a log, with an ingester at work."""
    async with running_api(settings) as api:
        yield api


@pytest.fixture
async def still_api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over a log that nobody ingests into."""
    async with running_api(settings) as api:
        yield api


@pytest.fixture
def screen() -> Console:
    """A terminal that nobody sees."""
    return Console(file=io.StringIO(), width=200)
