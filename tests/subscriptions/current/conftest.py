"""What the tests of current state share: a feed, and events that are stored and announced to it."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.live.feed import Feed, open_feed
from tests.subscriptions.support.receivers import Announcer


@pytest.fixture
async def feed(log: Log, client: Client, settings: Settings) -> AsyncIterator[Feed]:
    """The live feed of the log."""
    async with open_feed(log, client, settings.stream) as feed:
        yield feed


@pytest.fixture
def teller(client: Client, settings: Settings, log: Log) -> Announcer:
    """What stores events in the log, and announces them."""
    return Announcer(log, client, settings.stream)
