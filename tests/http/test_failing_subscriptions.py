"""How a subscription ends if it fails after its start: with the error and its code, and nothing after it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from gql import Client as GQL
from gql import GraphQLRequest
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from nats.aio.client import Client

from eventscope.http.websocket_adapter import Adapter
from eventscope.http.websocket_sink import WebSocketSink
from eventscope.settings import Settings
from eventscope.store.log import Log
from tests.http.test_masking import is_masked
from tests.subscriptions.support.receivers import Announcer
from tests.support.api_server import RunningApi, running_api
from tests.support.clients.event_stream import open_stream
from tests.support.clients.websocket import open_socket, subscribe
from tests.support.network_proxy import Proxy, running_proxy

LARGE: Final = 500_000  # bytes of an event
HISTORY: Final = 60  # events: more than fits into a connection that is not read
# each subscriber gets one of them, and more are waiting
OPERATIONS: Final[Mapping[str, str]] = {
    "events": "subscription { events(from: BEGINNING) { ... on Event { id data } } }",
    "replay": "subscription { replay { ... on Event { id data } } }",
    "aggregate": 'subscription { aggregate(type: "thing", id: "1") { version } }',
    "stats": "subscription { stats(everySeconds: 0.2) { totalEvents } }",
}
THING: Final = {"aggregateType": "thing", "aggregateId": "1"}
AWAY: Final = {"message": "MongoDB does not answer now", "extensions": {"code": "UNAVAILABLE"}}


@pytest.fixture
def announcer(log: Log, client: Client, settings: Settings) -> Announcer:
    return Announcer(log, client, settings.stream)


@asynccontextmanager
async def behind_a_line(
    settings: Settings, announcer: Announcer, history: int = HISTORY
) -> AsyncIterator[tuple[RunningApi, Proxy]]:
    """An API whose MongoDB is behind a proxy of its own, with a history to read."""
    for _ in range(0, HISTORY, 10):
        await announcer.store(*[THING | {"data": "x" * LARGE}] * 10)
    async with running_proxy(urlsplit(settings.mongo_url).port or 0) as line:
        own = settings.model_copy(update={"mongo_url": f"mongodb://{line.host}/?directConnection=true"})
        # as an ingester does by then: there is a key, and the API reads it at its start
        await announcer.beat(HISTORY)
        async with running_api(own) as api:
            yield api, line
            await line.cut()  # motor closes with a call that blocks the loop, and the proxy runs in that loop


async def test_over_websocket_it_is_an_error_and_nothing_after_it_and_the_gql_client_raises_it(
    settings: Settings, announcer: Announcer
) -> None:
    async with behind_a_line(settings, announcer) as (api, line), AsyncExitStack() as stack:
        gql = await stack.enter_async_context(GQL(transport=WebsocketsTransport(url=api.socket_url)))
        counts = gql.subscribe(GraphQLRequest(OPERATIONS["stats"]))
        await anext(counts)
        sockets = {name: await stack.enter_async_context(open_socket(api.socket_url)) for name in OPERATIONS}
        for name, socket in sockets.items():
            await socket.say(subscribe(name, OPERATIONS[name]))
            assert (await socket.hear())["type"] == "next"
        await line.cut()
        await announcer.happen(1, **THING)
        for name, socket in sockets.items():
            while (message := await socket.hear())["type"] == "next":
                assert "errors" not in message["payload"], name
            assert message == {"id": name, "type": "error", "payload": [AWAY]}
            assert await socket.is_open()
        async with asyncio.timeout(60):
            with pytest.raises(TransportQueryError) as failed:
                await anext(counts)
        assert failed.value.errors == [AWAY]
        await line.heal()
        for name, socket in sockets.items():  # and its name is free again
            await socket.say(subscribe(name, "{ log { head } }"))
            assert (await socket.hear())["payload"] == {"data": {"log": {"head": HISTORY + 1}}}


async def test_as_an_event_stream_it_is_a_result_with_errors_and_the_stream_is_complete(
    settings: Settings, announcer: Announcer
) -> None:
    async with behind_a_line(settings, announcer) as (api, line), AsyncExitStack() as stack:
        streams = {
            name: await stack.enter_async_context(open_stream(api.http, query)) for name, query in OPERATIONS.items()
        }
        for stream in streams.values():
            await stream.next()
        await line.cut()
        await announcer.happen(1, **THING)
        for stream in streams.values():
            while "errors" not in (result := (await stream.hear())[1]):
                pass
            assert result["errors"] == [AWAY]
            assert result.get("data") is None
            assert await stream.hear() == ("complete", None)


# an unforeseen error


async def test_a_fault_in_sending_to_one_subscriber_ends_only_that_one_with_an_error(
    settings: Settings, announcer: Announcer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faulty: list[str] = []
    send, put = WebSocketSink.send, WebSocketSink.put

    def sends_at_once(self: WebSocketSink, body: bytes, position: int) -> bool:
        return self._operation.id not in faulty and put(self, body, position)

    async def sends(self: WebSocketSink, text: str, position: int) -> None:
        if self._operation.id in faulty:
            raise ArithmeticError("hunter2")
        await send(self, text, position)

    monkeypatch.setattr(WebSocketSink, "put", sends_at_once)
    monkeypatch.setattr(WebSocketSink, "send", sends)
    feed = "subscription { events(from: BEGINNING) { __typename ... on Event { position } } }"
    async with (
        running_api(settings) as api,
        open_socket(api.socket_url) as socket,
        open_socket(api.socket_url) as other,
    ):
        for one, id in ((socket, "bad"), (other, "good")):
            await one.say(subscribe(id, feed))
            assert (await one.hear())["payload"]["data"]["events"] == {"__typename": "CaughtUp"}
        faulty.append("bad")
        await announcer.happen(1)
        is_told(await socket.hear(), "bad", caplog)
        assert await socket.is_open()
        assert (await other.hear())["payload"]["data"]["events"] == {"__typename": "Event", "position": 1}
        await socket.say(subscribe("bad", feed))  # from history
        is_told(await socket.hear(), "bad", caplog)
        faulty.clear()
        await announcer.happen(1)
        assert (await other.hear())["payload"]["data"]["events"] == {"__typename": "Event", "position": 2}
        assert await socket.is_open()


async def test_a_fault_in_sending_a_result_is_sent_as_an_error(
    settings: Settings, log: Log, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoded = Adapter._encode

    async def encodes(self: Adapter, message: Mapping[str, object]) -> str:
        if message["type"] == "next":
            raise ArithmeticError("hunter2")
        return await encoded(self, message)

    monkeypatch.setattr(Adapter, "_encode", encodes)
    async with running_api(settings) as api, open_socket(api.socket_url) as socket:
        for query in ("{ log { head } }", OPERATIONS["stats"]):
            await socket.say(subscribe("1", query))
            is_told(await socket.hear(), "1", caplog)
            assert await socket.is_open()


def is_told(message: Any, id: str, caplog: pytest.LogCaptureFixture) -> None:
    """The message ends the operation with an error that contains only the id under which it was logged."""
    assert (message["id"], message["type"]) == (id, "error")
    [error] = message["payload"]
    assert "hunter2" not in str(error)
    is_masked(error, caplog)
