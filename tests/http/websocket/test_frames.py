"""Frames that violate the protocol of GraphQL over WebSocket close the connection, and no valid message does."""

import pytest

from eventscope.http.websocket_handler import fault
from tests.support.clients.websocket import open_socket, subscribe

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINE = "{ log { head } }"
WRONG: list[object] = [
    "[]",
    "5",
    "null",
    '"ping"',
    "",
    "{",
    '{"type":',
    "[" * 200_000,
    '{"type": "ping", "payload": ' + "[" * 200_000,
    '{"type": "\\ud800"}',
    b'{"type": "ping"}',
    {},
    {"type": None},
    {"type": 5},
    {"type": ["ping"]},
    {"type": "nope"},
    {"type": "x" * 1000},
    {"type": "connection_ack"},
    {"type": "ping", "payload": "x"},
    {"type": "pong", "payload": []},
    {"type": "connection_init", "payload": "x"},
    {"type": "connection_init", "payload": []},
    {"type": "complete"},
    {"type": "complete", "id": 7},
    {"type": "subscribe", "payload": {"query": FINE}},
    {"type": "subscribe", "id": 7, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "", "payload": {"query": FINE}},
    {"type": "subscribe", "id": ["a"], "payload": {"query": FINE}},
    {"type": "subscribe", "id": {}, "payload": {"query": FINE}},
    {"type": "subscribe", "id": None, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "x" * 129, "payload": {"query": FINE}},
    {"type": "subscribe", "id": "1"},
    {"type": "subscribe", "id": "1", "payload": None},
    {"type": "subscribe", "id": "1", "payload": "x"},
    {"type": "subscribe", "id": "1", "payload": []},
    {"type": "subscribe", "id": "1", "payload": {}},
    subscribe("1", FINE) | {"payload": {"query": 5}},
    subscribe("1", FINE, variables="x"),
    subscribe("1", FINE, variables=["x"]),
    subscribe("1", FINE, operationName=5),
    subscribe("1", FINE, extensions=[]),
]


@pytest.mark.parametrize("frame", WRONG, ids=lambda frame: str(frame)[:60])
async def test_a_frame_that_violates_the_protocol_closes_with_4400(url: str, frame: object) -> None:
    async with open_socket(url) as socket:
        await socket.say(frame)
        code, reason, heard = await socket.end()
    assert (code, heard) == (4400, [])
    assert reason


async def test_a_frame_that_is_too_large_closes_with_1009(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say("x" * 262_145)
        assert (await socket.end())[0] == 1009


async def test_no_valid_message_violates_the_protocol() -> None:
    for message in (
        {"type": "connection_init"},
        {"type": "pong", "payload": {}},
        {"type": "complete", "id": "x" * 128},
        subscribe("1", "", variables=None, operationName=None, extensions=None),
        subscribe("ö", FINE, variables={}, operationName="", extensions={}),
    ):
        assert fault(message) is None
