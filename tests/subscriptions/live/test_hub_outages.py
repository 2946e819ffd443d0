"""The hub when servers go away: nobody is disconnected, and what happened meanwhile is delivered in order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client

from eventscope.processes.ports import free
from eventscope.settings import Settings
from eventscope.store.filters.filter import EVERYTHING
from eventscope.store.log import Log, open_log, synchronise
from eventscope.subscriptions.live.feed import open_feed
from eventscope.subscriptions.live.hub import open_hub
from eventscope.subscriptions.live.subscriber import DeliveryLimits
from eventscope.subscriptions.nats import stream
from tests.subscriptions.support.receivers import Announcer, ImmediateReceiver, subscriber
from tests.support.killable_servers import killable_nats
from tests.support.network_proxy import Proxy, running_proxy
from tests.support.until import until


@pytest.fixture
async def line(mongo_url: str) -> AsyncIterator[Proxy]:
    port = urlsplit(mongo_url).port
    assert port is not None
    async with running_proxy(port) as line:
        yield line


async def test_a_hole_that_the_store_cannot_fill_is_filled_when_it_is_back(
    settings: Settings,
    log: Log,
    client: Client,
    line: Proxy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    teller, sink = Announcer(log, client, settings.stream), ImmediateReceiver()
    url = f"mongodb://{line.host}/?directConnection=true"
    async with (
        open_log(url, settings.mongo_database, question_seconds=0.5, driver="pymongo") as far,
        open_feed(log, client, settings.stream) as feed,
        open_hub(far, feed, limits=DeliveryLimits(retry_seconds=0.05)) as hub,
        subscriber(hub, EVERYTHING, 0, sink),
    ):
        await synchronise(far)
        await until(lambda: "LiveStart" in sink.kinds)
        await line.cut()
        await teller.store(*[{}] * 3)
        await teller.beat(3)
        await until(lambda: bool(caplog.records))
        assert "live delivery waits for the log" in caplog.text
        assert hub.state().count == 1
        await teller.happen(2)
        await line.heal()

        async def filled() -> bool:
            await teller.beat(5)
            return sink.positions == [1, 2, 3, 4, 5]

        await until(filled)
        await until(lambda: sink.kinds.count("LiveStart") == 2)
        assert sink.kinds.count("LiveBreak") == 1


async def test_when_nats_is_back_events_from_the_outage_come_first(
    settings: Settings, log: Log, tmp_path: Path
) -> None:
    sink, port = ImmediateReceiver(), free()
    async with AsyncExitStack() as stack:
        async with killable_nats(tmp_path / "nats", port) as server:
            client = await stream.connect(server.url, "test")
            stack.push_async_callback(stream.close, client)
            teller = Announcer(log, client, settings.stream)
            feed = await stack.enter_async_context(open_feed(log, client, settings.stream))
            hub = await stack.enter_async_context(open_hub(log, feed))
            await stack.enter_async_context(subscriber(hub, EVERYTHING, 0, sink))
            await until(lambda: "LiveStart" in sink.kinds)
            await teller.happen(2)
            await sink.has(1, 2)
        await until(lambda: not client.is_connected)
        await teller.store(*[{}] * 3)
        async with killable_nats(tmp_path / "nats", port):
            await until(lambda: client.is_connected)
            await teller.happen(2)
            await sink.has(*range(1, 8))
            await teller.happen(1)
            await sink.has(*range(1, 9))
