"""The gql package from PyPI as a client: existing clients can query and subscribe."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from gql import Client as GQL
from gql import GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport
from nats.aio.client import Client

from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.support.api_server import RunningApi, running_api
from tests.support.sample_log import fill
from tests.support.until import until

EVENTS = "query ($first: Int, $after: String) { events(first: $first, after: $after) { nodes { id data } } }"
FEED = "subscription ($after: String) { events(after: $after) { __typename ... on Event { id position } } }"


@pytest.fixture
async def api(settings: Settings, log: Log, client: Client) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


def over_http(api: RunningApi) -> GQL:
    url = str(api.http.base_url.join("/graphql"))
    # it fetches the schema first, and checks queries against it
    return GQL(transport=HTTPXAsyncTransport(url=url), fetch_schema_from_transport=True)


async def test_it_queries_over_http(api: RunningApi, log: Log) -> None:
    await fill(log, [orjson.dumps({"type": "a.b", "messageId": f"m{n}", "data": {"n": n}}) for n in range(3)], {"*": 0})
    async with over_http(api) as session:
        found = await session.execute(GraphQLRequest(EVENTS, variable_values={"first": 2}))
    assert found == {"events": {"nodes": [{"id": "m2", "data": {"n": 2}}, {"id": "m1", "data": {"n": 1}}]}}


async def test_it_parses_our_errors(api: RunningApi) -> None:
    async with over_http(api) as session:
        with pytest.raises(TransportQueryError) as refused:
            await session.execute(GraphQLRequest(EVENTS, variable_values={"after": "x"}))
    assert refused.value.errors is not None
    assert refused.value.errors[0]["extensions"] == {"code": "BAD_USER_INPUT", "field": "after"}


async def test_it_subscribes_over_a_websocket(
    api: RunningApi, client: Client, subject_prefix: str, ingesting: None
) -> None:
    transport = WebsocketsTransport(url=api.socket_url, ping_interval=0.05, pong_timeout=30.0)
    async with asyncio.timeout(60), GQL(transport=transport) as session:
        deliveries = session.subscribe(GraphQLRequest(FEED))
        assert (await anext(deliveries))["events"] == {"__typename": "CaughtUp"}
        for n in range(1, 4):
            await client.publish(f"{subject_prefix}.thing.happened", orjson.dumps({"messageId": f"m{n}"}))
            assert (await anext(deliveries))["events"] == {"__typename": "Event", "id": f"m{n}", "position": n}
        await deliveries.aclose()
        await until(lambda: api.services.feed.subscribers == 0)
        assert (await session.execute(GraphQLRequest(EVENTS, variable_values={"first": 1})))["events"]["nodes"][0][
            "id"
        ] == "m3"


async def test_it_receives_the_reason_why_a_subscription_is_refused(api: RunningApi) -> None:
    async with asyncio.timeout(60), GQL(transport=WebsocketsTransport(url=api.socket_url)) as session:
        with pytest.raises(TransportQueryError, match="not a cursor"):
            await anext(session.subscribe(GraphQLRequest(FEED, variable_values={"after": "x"})))
