"""The main job from end to end: a service publishes with only a NATS client, and people see the event at once."""

import httpx
import nats
import orjson

from eventscope.settings import Settings
from tests.support.clients import websocket as wire

EVENT = "position type aggregateType aggregateId version userId data"
QUERY = f"{{ events {{ nodes {{ {EVENT} }} }} }}"
LIVE = f'subscription {{ events(filter: {{eventTypes: ["user.*"]}}) {{ __typename ... on Event {{ {EVENT} }} }} }}'


async def test_what_a_bare_client_publishes_arrives_over_http_and_over_a_websocket(
    settings: Settings, subject_prefix: str, api: str, ingesting: None
) -> None:
    seen = {
        "position": 1,
        "type": "user.created",
        "aggregateType": "user",
        "aggregateId": "42",
        "version": 1,
        "userId": "admin-7",
        "data": {"name": "Ada"},
    }
    async with wire.open_socket(f"{api}/graphql".replace("http", "ws", 1)) as socket:
        await socket.say(wire.subscribe("1", LIVE))
        assert (await socket.hear())["payload"] == {"data": {"events": {"__typename": "CaughtUp"}}}

        service = await nats.connect(settings.nats_url)
        message = {"aggregateType": "user", "aggregateId": "42", "userId": "admin-7", "data": {"name": "Ada"}}
        await service.publish(f"{subject_prefix}.user.created", orjson.dumps(message))
        await service.close()

        assert (await socket.hear())["payload"] == {"data": {"events": {"__typename": "Event", **seen}}}
    async with httpx.AsyncClient(base_url=api) as client:
        answer = await client.post("/graphql", json={"query": QUERY})
    assert answer.json() == {"data": {"events": {"nodes": [seen]}}}
