"""The status of the log: its ends, how far it lags, how long it keeps events, and which versions run."""

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import orjson
import pytest
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.sample_log import SampleApi
from tests.support.until import until

QUERY = """{ log {
  head firstPosition rejected sourceResets ingesting ingestLag { events seconds }
  retention { eventTypes days } versions { eventscope mongodb nats }
} }"""


@pytest.fixture
async def fresh(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    """An API over an empty log, and no ingester."""
    async with running_api(settings) as api:
        yield api


async def status(api: RunningApi) -> Any:
    return (await api.ask(QUERY))["log"]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_status_has_the_ends_of_the_log_and_the_number_of_rejections(sample: SampleApi) -> None:
    found = await status(sample.api)
    assert found["head"] == 300
    assert found["firstPosition"] == sample.events[0]["_id"]
    assert found["rejected"] == len(sample.rejected)
    assert found["sourceResets"] == 0


@pytest.mark.asyncio(loop_scope="session")
async def test_the_status_has_the_retention_and_the_versions_of_the_software(sample: SampleApi) -> None:
    found = await status(sample.api)
    assert {rule["eventTypes"]: rule["days"] for rule in found["retention"]} == sample.settings.retention
    assert found["versions"]["eventscope"] == version("eventscope")
    assert all(name[0].isdigit() for name in found["versions"].values())


async def test_an_empty_log_has_head_0_and_no_first_position(fresh: RunningApi) -> None:
    found = await status(fresh)
    assert (found["head"], found["firstPosition"], found["rejected"]) == (0, None, 0)
    assert not found["ingesting"]
    assert found["ingestLag"] == {"events": 0, "seconds": 0}


async def test_what_no_ingester_has_stored_yet_is_lag(fresh: RunningApi, client: Client, subject_prefix: str) -> None:
    for _ in range(3):
        await client.jetstream().publish(f"{subject_prefix}.thing.happened", orjson.dumps({}))
    lag = (await status(fresh))["ingestLag"]
    assert lag["events"] == 3
    assert lag["seconds"] > 0


async def test_with_an_ingester_at_work_the_lag_falls_to_zero(
    fresh: RunningApi, client: Client, subject_prefix: str, ingesting: None
) -> None:
    await client.publish(f"{subject_prefix}.thing.happened", orjson.dumps({}))
    await client.publish(f"{subject_prefix}.thing.happened", b"no json")

    async def done() -> Any:
        found = await status(fresh)
        # it counts as at work once it has read and stored all that there was
        return found if (found["head"], found["rejected"], found["ingesting"]) == (1, 1, True) else None

    found = await until(done)
    assert found["ingestLag"] == {"events": 0, "seconds": 0}


async def test_without_its_stream_the_lag_is_unknown(fresh: RunningApi, client: Client, settings: Settings) -> None:
    js = client.jetstream()
    await js.delete_stream(settings.stream)
    assert (await status(fresh))["ingestLag"] is None
    await js.add_stream(name=settings.stream, subjects=list(settings.subjects))


async def test_the_status_has_the_number_of_subscriptions_and_the_lag_of_the_slowest(fresh: RunningApi) -> None:
    async def found() -> Any:
        return (await fresh.ask("{ log { subscriptions { count cohorts slowestLag } } }"))["log"]["subscriptions"]

    assert await found() == {"count": 0, "cohorts": 0, "slowestLag": 0}
    all_events = "subscription { events { __typename } }"
    async with open_socket(fresh.socket_url) as socket:
        await socket.say(subscribe("1", all_events), subscribe("2", all_events))
        await socket.say(subscribe("3", 'subscription { events(filter: { userId: "ada" }) { __typename } }'))
        await socket.say(subscribe("4", "subscription { stats { totalEvents } }"))
        for _ in range(4):
            await socket.hear()
        assert await found() == {"count": 4, "cohorts": 2, "slowestLag": 0}
    await until(lambda: fresh.services.feed.subscribers == 0)
    assert (await found())["count"] == 0
