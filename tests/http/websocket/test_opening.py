"""How a connection for GraphQL over WebSocket opens, and the code with which it is closed where it may not."""

import pytest
from websockets.exceptions import InvalidStatus

from eventscope.http.uvicorn.bounds import HttpLimits
from eventscope.settings import Settings
from tests.support.api_server import running_api
from tests.support.clients.websocket import ACK, INIT, open_socket, subscribe

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINE = "{ log { head } }"


@pytest.mark.parametrize("payload", [{}, {"payload": None}, {"payload": {}}, {"payload": {"token": "x"}}])
async def test_a_client_that_sends_connection_init_is_acknowledged(url: str, payload: dict[str, object]) -> None:
    async with open_socket(url, init=False) as socket:
        assert socket.raw.subprotocol == "graphql-transport-ws"
        await socket.say(INIT | payload)
        assert await socket.hear() == ACK


@pytest.mark.parametrize("protocols", [[], ["graphql-ws"], ["soap", "graphql-sse"]])
async def test_a_client_that_does_not_speak_the_protocol_is_closed_with_4406(url: str, protocols: list[str]) -> None:
    async with open_socket(url, init=False, protocols=protocols) as socket:
        assert (await socket.end())[0] == 4406


async def test_a_client_that_also_speaks_another_protocol_gets_ours(url: str) -> None:
    async with open_socket(url, protocols=["graphql-ws", "graphql-transport-ws"]) as socket:
        assert await socket.is_open()


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_of_another_origin_is_refused_with_403_before_any_message(url: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(url, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_a_page_of_our_own_origin_is_accepted(url: str) -> None:
    async with open_socket(url, origin=url.replace("ws", "http", 1).removesuffix("/graphql")) as socket:
        assert await socket.is_open()


@pytest.mark.asyncio(loop_scope="function")
async def test_only_an_allowed_origin_is_accepted(settings: Settings) -> None:
    async with running_api(settings.model_copy(update={"origins": ("https://ours.example",)})) as api:
        async with open_socket(api.socket_url, origin="https://ours.example") as socket:
            assert await socket.is_open()
        with pytest.raises(InvalidStatus):
            async with open_socket(api.socket_url, origin="https://ours.example.evil"):
                pass


@pytest.mark.asyncio(loop_scope="function")
async def test_a_client_that_sends_nothing_is_closed_with_4408(settings: Settings) -> None:
    assert HttpLimits().init_seconds == 10
    limits = HttpLimits(init_seconds=0.1)
    async with running_api(settings, http_limits=limits) as api, open_socket(api.socket_url, init=False) as socket:
        assert await socket.end() == (4408, "Connection initialisation timeout", [])


async def test_a_second_connection_init_closes_with_4429(url: str) -> None:
    async with open_socket(url) as socket:
        await socket.say(INIT)
        assert (await socket.end())[0] == 4429


async def test_an_operation_before_connection_init_closes_with_4401(url: str) -> None:
    async with open_socket(url, init=False) as socket:
        await socket.say(subscribe("1", FINE))
        assert await socket.end() == (4401, "Unauthorized", [])


async def test_a_ping_is_always_answered_and_a_pong_never(url: str) -> None:
    async with open_socket(url, init=False) as socket:
        for message in ({"type": "ping"}, {"type": "ping", "payload": None}, {"type": "ping", "payload": {"a": 1}}):
            await socket.say({"type": "pong"}, message)
            assert await socket.hear() == {"type": "pong"}
        await socket.say(INIT)
        assert await socket.hear() == ACK
        assert await socket.is_open()
