"""What the tests of live delivery share: a hub with small limits, and events that are stored and announced to it.

A test replaces `limits` or `most_waiting` with `parametrize`.
"""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from eventscope.subscriptions.live.feed import MOST_WAITING, open_feed
from eventscope.subscriptions.live.hub import Hub, HubState, open_hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits, SendBudget
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
def limits() -> DeliveryLimits:
    return DeliveryLimits()


@pytest.fixture
def most_waiting() -> int:
    return MOST_WAITING


@pytest.fixture
async def hub(
    client: Client, settings: Settings, log: Log, room: SendBudget, limits: DeliveryLimits, most_waiting: int
) -> AsyncIterator[Hub]:
    async with (
        open_feed(log, client, settings.stream, most_waiting) as feed,
        open_hub(log, feed, room, limits) as hub,
    ):
        yield hub
        await until(lambda: hub.state() == HubState(0, 0, 0, 0))


@pytest.fixture
def teller(client: Client, settings: Settings, log: Log) -> Announcer:
    return Announcer(log, client, settings.stream)
