"""What the tests of live delivery share: a hub with small limits, and events that are stored and announced to it."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.live.feed import open_feed
from eventscope.subscriptions.live.hub import Hub, HubState, open_hub
from eventscope.subscriptions.live.subscriber import SendBudget
from tests.subscriptions.support.receivers import (
    ALL,
    ONE,
    Announcer,
)
from tests.support.until import until


@pytest.fixture
def room() -> SendBudget:
    return SendBudget(ONE, ALL)


@pytest.fixture
async def hub(client: Client, settings: Settings, log: Log, room: SendBudget) -> AsyncIterator[Hub]:
    async with open_feed(log, client, settings.stream) as feed, open_hub(log, feed, room) as hub:
        yield hub
        await until(lambda: hub.state() == HubState(0, 0, 0, 0))


@pytest.fixture
def teller(client: Client, settings: Settings, log: Log) -> Announcer:
    return Announcer(log, client, settings.stream)
