"""Newest events are answered from memory, and a client that was notified of an event finds it at once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from eventscope.settings import Settings
from tests.support.api_server import RunningApi, running_api

PUBLISH = 'mutation { publishEvent(input: {type: "a.happened", data: {n: 1.0, text: "ü"}}) { position } }'
NEWEST = "{ events(first: 3) { nodes { position data } pageInfo { endCursor hasNextPage } coverage { complete } } }"


@pytest.fixture
async def api(settings: Settings, ingesting: None) -> AsyncIterator[RunningApi]:
    async with running_api(settings) as api:
        yield api


async def publish(api: RunningApi) -> int:
    return int((await api.ask(PUBLISH))["publishEvent"]["position"])


async def newest(api: RunningApi) -> int:
    nodes = (await api.ask(NEWEST))["events"]["nodes"]
    return max((int(node["position"]) for node in nodes), default=0)


async def test_a_publisher_finds_its_event_at_once(api: RunningApi) -> None:
    async def one() -> None:
        for _ in range(20):
            position = await publish(api)
            assert await newest(api) >= position

    await asyncio.gather(*(one() for _ in range(5)))


async def test_an_event_published_through_one_process_is_found_through_another(
    api: RunningApi, settings: Settings
) -> None:
    async with running_api(settings) as other:
        for _ in range(30):
            position = await publish(api)
            assert await newest(other) >= position


async def test_with_recent_events_and_without_the_answers_are_the_same_bytes(
    api: RunningApi, settings: Settings
) -> None:
    async with running_api(settings.model_copy(update={"tail_events": 0})) as without:
        for _ in range(8):
            await publish(api)
        assert without.services.log.recent is None
        assert api.services.log.recent is not None
        assert len(api.services.log.recent) == 8
        for first in (1, 3, 8, 9):
            for order in ("NEWEST_FIRST", "OLDEST_FIRST"):
                query = (
                    f"{{ events(first: {first}, order: {order}) {{ edges {{ cursor node {{ id position cursor type"
                    " timestamp recordedAt aggregateType aggregateId version userId correlationId causationId data"
                    " metadata expiresAt } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
                )
                answers = [await one.http.post("/graphql", json={"query": query}) for one in (api, without)]
                assert answers[0].content == answers[1].content
